import type { BlockedCall } from '../../linux/blocked-call.ts';

/** x86-64 system call numbers, asm/unistd_64.h. */
export const calls = {
  open: 2,
  openat: 257,
  openat2: 437,
  creat: 85,
  execve: 59,
  execveat: 322,
  truncate: 76,
  ftruncate: 77,
  fallocate: 285,
  mmap: 9,
} as const;

/** read, pread64, readv, preadv, preadv2. */
export const readCalls = [0, 17, 19, 295, 327] as const;
/** write, pwrite64, writev, sendfile, splice, pwritev, copy_file_range, pwritev2. */
export const writeCalls = [1, 18, 20, 40, 275, 296, 326, 328] as const;
/** Its files are in memory; it can only read, write and sync. */
export const IO_SUBMIT = 209;

/** Above every stack of a 32-bit task, below every stack of a 64-bit one unless it chose its own. */
const COMPAT_END = 0x1_0000_0000;

/** Whether the numbers above are those of this call: a 32-bit task has others. */
export function isKnownAbi(call: BlockedCall): boolean {
  return process.arch === 'x64' && call.stack >= COMPAT_END;
}
