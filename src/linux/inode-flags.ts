import { bind, check, lastErrno } from './libc.ts';

const ioctl = bind('int ioctl(int fd, ulong request, void *argument)');

/** linux/fs.h, for 64-bit processes. */
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_SYNC_FL = 0x8;
const FS_IMMUTABLE_FL = 0x10;
const FS_APPEND_FL = 0x20;
const FS_NODUMP_FL = 0x40;
const FS_NOATIME_FL = 0x80;

/** The flags of chattr(1) that ext4, XFS and Btrfs all have and that mean the same on each. */
export const PORTABLE_FLAGS = FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;
/** Those that forbid even root to change, rename, link or remove what has them. */
export const PROTECTING_FLAGS = FS_IMMUTABLE_FL | FS_APPEND_FL;

const [ENOTTY, EOPNOTSUPP, ENOSYS] = [25, 95, 38];
const value = Buffer.alloc(8);

/** All flags of an open file or directory as chattr(1) shows them; 0 where the file system has no such thing. */
export function readFlags(fd: number): number {
  const result = ioctl(fd, FS_IOC_GETFLAGS, value);
  if (result < 0 && [ENOTTY, EOPNOTSUPP, ENOSYS].includes(lastErrno())) return 0;
  check(result, 'FS_IOC_GETFLAGS', `fd ${fd}`);
  return value.readUInt32LE(0);
}

/** Sets all flags at once: those of the file system's own have to be what `readFlags` says. */
export function writeFlags(fd: number, flags: number): void {
  value.writeUInt32LE(flags >>> 0, 0);
  check(ioctl(fd, FS_IOC_SETFLAGS, value), 'FS_IOC_SETFLAGS', `fd ${fd}`);
}
