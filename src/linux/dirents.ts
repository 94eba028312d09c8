import { bind, check } from './libc.ts';

const getdents64 = bind('int64 getdents64(int fd, void *buffer, size_t size)');
const lseek = bind('int64 lseek(int fd, int64 offset, int whence)');

/** Offset of d_name in struct linux_dirent64, getdents64(2). */
const NAME = 19;

/**
 * Back to a directory's first entry. Also before the first reading: Btrfs shows only entries that were there when the
 * directory was opened or, later, rewound (since Linux 6.5).
 */
export function rewindDirents(fd: number): void {
  check(lseek(fd, 0, 0), 'lseek', `fd ${fd}`);
}

/** getdents64(2): fills the buffer with packed entries, returns their bytes, 0 at the end of the directory. */
export function readDirents(fd: number, into: Uint8Array): number {
  return check(getdents64(fd, into, into.length), 'getdents64', `fd ${fd}`);
}

/** The length of the packed entry at `at`. */
export function direntLength(bytes: Buffer, at: number): number {
  return bytes.readUInt16LE(at + 16);
}

/** The number of the inode that the entry with its name at `nameStart` stands for, in halves; at a mount, of what lies below. */
export function direntInode(bytes: Buffer, nameStart: number): { low: number; high: number } {
  return { low: bytes.readUInt32LE(nameStart - NAME), high: bytes.readUInt32LE(nameStart - NAME + 4) };
}

/** Where the NUL-terminated name of the packed entry at `at` begins. */
export function direntNameStart(at: number): number {
  return at + NAME;
}
