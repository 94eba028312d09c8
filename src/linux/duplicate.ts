import { bind, check } from './libc.ts';

const fcntl = bind('int fcntl(int fd, int command, int argument)');

/** fcntl.h, asm-generic. */
const F_DUPFD_CLOEXEC = 1030;

/** A second descriptor for what `fd` refers to; it stays when the first one is closed. */
export function duplicate(fd: number): number {
  return check(fcntl(fd, F_DUPFD_CLOEXEC, 3), 'fcntl', `fd ${fd}`);
}
