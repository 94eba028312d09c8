import { bind, check, isErrno } from './libc.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;
const flock = bind('int flock(int fd, int operation)');

/**
 * Takes an exclusive lock on an open file without waiting; false if somebody else holds it. The kernel lets go of it when
 * the descriptor is closed or its process ends, however it ends (flock(2)).
 * @throws SystemCallError
 */
export function tryLockExclusive(fd: number): boolean {
  try {
    check(flock(fd, LOCK_EX | LOCK_NB), 'flock');
    return true;
  } catch (error) {
    if (isErrno(error, 'EAGAIN', 'EWOULDBLOCK')) return false;
    throw error;
  }
}
