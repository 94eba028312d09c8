import { bind, check } from './libc.ts';
import { close } from './open.ts';

const syscall = bind('long syscall(long number, long a, long b, long c)');

/** The same numbers on all architectures, asm-generic/unistd.h. */
const PIDFD_OPEN = 434;
const PIDFD_GETFD = 438;

/** A descriptor of this process for what is descriptor `fd` in the process `pid`. ESRCH: there is no such process. */
export function takeDescriptor(pid: number, fd: number): number {
  const process = check(syscall(PIDFD_OPEN, pid, 0, 0), 'pidfd_open', `pid ${pid}`);
  try {
    return check(syscall(PIDFD_GETFD, process, fd, 0), 'pidfd_getfd', `fd ${fd} of pid ${pid}`);
  } finally {
    close(process);
  }
}
