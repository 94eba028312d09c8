import { constants } from 'node:os';
import koffi from 'koffi';

const LOCK_EX = 2;
const LOCK_NB = 4;
const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)');

/**
 * Takes an exclusive lock on an open file without waiting; false if somebody else holds it. The kernel lets go of it when
 * the descriptor is closed or its process ends, however it ends (flock(2)).
 */
export function tryLockExclusive(fd: number): boolean {
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === constants.errno.EWOULDBLOCK) return false;
  throw new Error(`flock failed with errno ${errno}`);
}
