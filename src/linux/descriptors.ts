import { AT_FDCWD, bind, check, cstring } from './libc.ts';
import { close, O_RDONLY, openAt } from './open.ts';

const fcntl = bind('int fcntl(int fd, int command, long argument)');
const getrlimit = bind('int getrlimit(int resource, void *limit)');

const F_DUPFD_CLOEXEC = 1030;
const RLIMIT_NOFILE = 7;

/** The lowest free number at or above `floor` now stands for what `fd` is. */
function duplicateAbove(fd: number, floor: number): number {
  return check(fcntl(fd, F_DUPFD_CLOEXEC, floor), 'fcntl', `fd ${fd}`);
}

/** Keeps the kernel from giving out these numbers in this process ever again; one that is in use must stay so. */
export function occupy(numbers: readonly number[]): void {
  // Never closed: it may have one of them itself.
  const nothing = openAt(AT_FDCWD, cstring('/dev/null'), O_RDONLY);
  for (const number of numbers) {
    const taken = duplicateAbove(nothing, number);
    if (taken !== number) close(taken);
  }
}

/** How many descriptors this process may have: RLIMIT_NOFILE's soft limit, which Node.js raises to the hard one. */
export function descriptorLimit(): number {
  const limits = Buffer.alloc(16);
  check(getrlimit(RLIMIT_NOFILE, limits), 'getrlimit');
  return Number(limits.readBigUInt64LE(0));
}
