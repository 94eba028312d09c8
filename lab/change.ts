import { lock } from './lock.ts';
import { labDir } from './paths.ts';
import { type Lab, loadLab } from './state.ts';

/** Does something to a lab while no other cargo-lab command changes it. @throws CargoError NOT_FOUND */
export async function changeLab<T>(name: string, change: (lab: Lab) => Promise<T>): Promise<T> {
  loadLab(name);
  using _held = await lock(labDir(name), 60_000);
  return await change(loadLab(name));
}
