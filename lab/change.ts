import { CargoError } from '../src/api/cargo-error.ts';
import { type Lock, lock } from './lock.ts';
import { labDir } from './paths.ts';
import { type Lab, loadLab } from './state.ts';

/** Keeps other cargo-lab commands from changing the lab. @throws CargoError NOT_FOUND when one took it down meanwhile. */
export async function lockLab(name: string): Promise<Lock> {
  const held = await lock(labDir(name), 60_000);
  if (held === undefined) throw new CargoError('NOT_FOUND', `lab ${name} was taken down meanwhile`);
  return held;
}

/** Does something to a lab that no other cargo-lab command changes at that time. @throws CargoError NOT_FOUND */
export async function changeLab<T>(name: string, change: (lab: Lab) => Promise<T>): Promise<T> {
  loadLab(name);
  using _held = await lockLab(name);
  return await change(loadLab(name));
}
