import { CargoError } from '../../api/cargo-error.ts';
import { lockVolume, openVolume } from './open-volume.ts';

/** The process of a hydrator: state directory, then the command that takes a process out of a cgroup. */
const [stateDir = '', ...launcher] = process.argv.slice(2);

try {
  using _ = lockVolume(stateDir);
  const hydrator = await openVolume(stateDir, launcher);
  await hydrator.arm();
  await hydrator.finish();
} catch (thrown) {
  process.stderr.write(`${JSON.stringify(CargoError.from(thrown).toBody())}\n`);
}
// The event thread waits in the kernel for an event that won't come; an ordinary exit would wait for it.
process.kill(process.pid, 'SIGKILL');
