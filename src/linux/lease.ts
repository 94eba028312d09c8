import { bind, check, isErrno } from './libc.ts';

const fcntl = bind('int fcntl(int fd, int command, long argument)');

const F_SETLEASE = 1024;
const F_WRLCK = 1;
const F_UNLCK = 2;

/**
 * Whether any other descriptor, of any process, has the regular file of `fd` open: then no lease is given out (fcntl(2)).
 * A process that opens it at this very moment waits for microseconds, and this process gets SIGIO, which it must have a handler for.
 */
export function isOpenElsewhere(fd: number): boolean {
  try {
    check(fcntl(fd, F_SETLEASE, F_WRLCK), 'fcntl', `fd ${fd}`);
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return true;
    throw error;
  }
  check(fcntl(fd, F_SETLEASE, F_UNLCK), 'fcntl', `fd ${fd}`);
  return false;
}
