import { type BlockedCall, readMemory } from '../../linux/blocked-call.ts';

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
/** struct iocb of linux/aio_abi.h: where u16 aio_lio_opcode is, and IOCB_CMD_PREAD, IOCB_CMD_PREADV. */
const IOCB = { opcodeAt: 16, reads: [0, 7] };
const POINTER_BYTES = 8;
const MOST_IOCBS = 1024;

/** Above every stack of a 32-bit task, below every stack of a 64-bit one unless it chose its own. */
const COMPAT_END = 0x1_0000_0000;

/** Whether the numbers above are those of this call: a 32-bit task has others. */
export function isKnownAbi(call: BlockedCall): boolean {
  return process.arch === 'x64' && call.stack >= COMPAT_END;
}

/**
 * Whether a thread that waits in io_submit(2) with these arguments has asked for nothing but reads: databases read by it in
 * bulk. A process that changes them while the kernel is at them deceives itself alone, about what survives a power cut.
 */
export function submitsReadsOnly(tid: number, [, count = 0, pointers = 0]: readonly number[]): boolean {
  if (count < 1 || count > MOST_IOCBS) return false;
  const list = readMemory(tid, pointers, count * POINTER_BYTES);
  if (list === null) return false;
  for (let at = 0; at < list.length; at += POINTER_BYTES) {
    const opcode = readMemory(tid, Number(list.readBigUInt64LE(at)) + IOCB.opcodeAt, 2);
    if (opcode === null || !IOCB.reads.includes(opcode.readUInt16LE(0))) return false;
  }
  return true;
}
