import { Command } from 'commander';
import { CargoError } from '../src/api/cargo-error.ts';
import { version } from '../src/version.ts';
import { registerCrash } from './commands/crash.ts';
import { registerDown } from './commands/down.ts';
import { registerEnv } from './commands/env.ts';
import { registerExec } from './commands/exec.ts';
import { registerImage } from './commands/image.ts';
import { registerLink } from './commands/link.ts';
import { registerLogs } from './commands/logs.ts';
import { registerPath } from './commands/path.ts';
import { registerPower } from './commands/power.ts';
import { registerPrepare } from './commands/prepare.ts';
import { registerStatus } from './commands/status.ts';
import { registerUp } from './commands/up.ts';

const program = new Command('cargo-lab')
  .description('Real Docker hosts on one machine, to try and test Cargo on')
  .version(version)
  .showHelpAfterError('(cargo-lab --help shows all commands)');
const commands = [
  registerUp,
  registerDown,
  registerStatus,
  registerEnv,
  registerExec,
  registerPath,
  registerLogs,
  registerImage,
  registerLink,
  registerPower,
  registerCrash,
  registerPrepare,
];
program.hook('preAction', () => {
  if (process.getuid?.() !== 0)
    throw new CargoError('FORBIDDEN', 'the lab makes namespaces, mounts and disks: run it as root');
});
for (const register of commands) register(program);

try {
  await program.parseAsync();
} catch (thrown) {
  const error = CargoError.from(thrown);
  console.error(`cargo-lab: ${error.message}`);
  process.exitCode = error.handling.exitCode;
}
