import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import koffi from 'koffi';
import { CargoError } from '../src/api/cargo-error.ts';
import { waitUntil } from './wait-until.ts';

const LOCK_EX = 2; // <sys/file.h>
const LOCK_NB = 4;
const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)');

/** Held until disposed, or until the last process that inherited the descriptor ends: flock(2). */
export type Lock = Disposable & { readonly fd: number };

/**
 * Locks an existing file or folder against other cargo-lab processes.
 * @returns undefined when it was deleted, or replaced, while waiting.
 * @throws CargoError TIMED_OUT when another process keeps it longer than the limit.
 */
export async function lock(path: string, limitMs: number): Promise<Lock | undefined> {
  const fd = openSync(path, 'r');
  try {
    await waitUntil(`the other cargo-lab command that holds ${path} ends`, limitMs, () =>
      flock(fd, LOCK_EX | LOCK_NB) === 0 ? true : undefined,
    );
  } catch (error) {
    closeSync(fd);
    throw CargoError.from(error);
  }
  if (statSync(path, { throwIfNoEntry: false })?.ino !== fstatSync(fd).ino) {
    closeSync(fd);
    return undefined;
  }
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}
