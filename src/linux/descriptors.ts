import { bind, check } from './libc.ts';
import { close } from './open.ts';

const fcntl = bind('int fcntl(int fd, int command, long argument)');
const getrlimit = bind('int getrlimit(int resource, void *limit)');

const F_DUPFD_CLOEXEC = 1030;
const RLIMIT_NOFILE = 7;

/** The lowest free number at or above `floor` now stands for what `fd` is. */
export function duplicateAbove(fd: number, floor: number): number {
  return check(fcntl(fd, F_DUPFD_CLOEXEC, floor), 'fcntl', `fd ${fd}`);
}

/** Takes every number below `floor`, so that the kernel gives out higher ones only. */
export function occupyBelow(fd: number, floor: number): void {
  while (true) {
    const taken = duplicateAbove(fd, 0);
    if (taken < floor) continue;
    close(taken);
    return;
  }
}

/** How many descriptors this process may have: RLIMIT_NOFILE's soft limit, which Node.js raises to the hard one. */
export function descriptorLimit(): number {
  const limits = Buffer.alloc(16);
  check(getrlimit(RLIMIT_NOFILE, limits), 'getrlimit');
  return Number(limits.readBigUInt64LE(0));
}
