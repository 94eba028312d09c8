import { once } from 'node:events';
import { CargoError } from '../../api/cargo-error.ts';
import { type Ahead, startAhead } from './ahead.ts';
import { warmEventThread } from './event-thread-start.ts';
import { endHolder } from './holders.ts';
import { WAITS } from './hydrator-process.ts';
import { lockAfterLast, openVolume } from './open-volume.ts';
import { whatAgentsTake } from './source-address.ts';

/** The process of a hydrator: state directory, then the command that takes a process out of a cgroup. */
const [stateDir = '', ...launcher] = process.argv.slice(2);

/** The event thread waits in the kernel for an event that may never come; an ordinary exit would wait for it. */
function end(thrown: unknown): never {
  if (thrown !== null) process.stderr.write(`${JSON.stringify(CargoError.from(thrown).toBody())}\n`);
  process.kill(process.pid, 'SIGKILL');
  process.exit(1);
}

process.on('uncaughtException', end);
// isOpenElsewhere
process.on('SIGIO', () => {});
// As a holder does: a container that ends at a shutdown, and reads at that, is still answered.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
const root = process.env[WAITS];
const ahead = root === undefined ? null : await untilTold(root);
try {
  using _ = await lockAfterLast(stateDir);
  const hydrator = await openVolume(stateDir, launcher, ahead);
  await hydrator.arm();
  await hydrator.finish();
  end(null);
} catch (thrown) {
  end(thrown);
}

/**
 * Says when all code is loaded, the event thread's too, and the holders are there. Whoever would tell it may end before: then nobody needs this
 * process.
 */
async function untilTold(root: string): Promise<Ahead | null> {
  const started: Ahead[] = [];
  let isTold = false;
  process.stdout.on('error', () => {});
  void Promise.all([warmEventThread(), whatAgentsTake()]).then(() => {
    if (isTold) return;
    try {
      started.push(startAhead(stateDir, root, launcher));
    } catch {
      // What keeps it from it now is told when it matters.
    }
    process.stdout.write('\n');
  });
  const [told] = await Promise.race([once(process.stdin, 'data'), once(process.stdin, 'end').then(() => [null])]);
  isTold = true;
  process.stdin.destroy();
  const [ahead = null] = started;
  if (told !== null) return ahead;
  ahead?.holders.forEach(endHolder);
  end(null);
}
