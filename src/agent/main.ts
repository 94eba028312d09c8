import { CargoError } from '../api/cargo-error.ts';
import { runAgent } from './agent.ts';
import { createContainerModule } from './container/index.ts';
import { holdAtBoot } from './hold-at-boot.ts';
import { createLog } from './log.ts';
import { parseCommandLine } from './options.ts';
import { ChangeLog, receiveRound, sendRound, verifyAtSource, verifyAtTarget } from './volume/index.ts';

const { hold, docker, logLevel, hydratorLauncher: launcher, ...options } = parseCommandLine(process.argv);
const log = createLog(logLevel);

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());

try {
  if (hold) await holdAtBoot(options.dataDir, log);
  else {
    const container = createContainerModule({
      ...{ dockerSocket: docker.slice('unix://'.length), dataDir: options.dataDir, launcher, log },
    });
    const followChanges = (path: string): ChangeLog => ChangeLog.start(path);
    const auditChanges = process.env['CARGO_AUDIT_CHANGES'] === '1';
    const volume = { sendRound, receiveRound, verifyAtSource, verifyAtTarget, followChanges, auditChanges };
    await runAgent({ ...options, log }, { container, volume }, stop.signal);
  }
} catch (thrown) {
  if (!stop.signal.aborted) {
    const error = CargoError.from(thrown);
    log.fatal({ code: error.code, err: error.code === 'INTERNAL' ? thrown : undefined }, error.message);
    process.exitCode = error.handling.exitCode;
  }
}
// Whatever still holds the event loop, a hung Docker call say, must not keep a stopped agent alive.
process.exit();
