import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, bind, type CString, check } from './libc.ts';

const futimens = bind('int futimens(int fd, void *times)');
const utimensat = bind('int utimensat(int dirfd, void *path, void *times, int flags)');

/** "Leave this one as it is", linux/stat.h. */
const UTIME_OMIT = 0x3ffffffe;

const times = Buffer.alloc(32);
times.writeUInt32LE(UTIME_OMIT, 8);

/** utimensat(2) with the modification time only, to the nanosecond; seconds before 1970 are negative. */
export function setMtime(fd: number, seconds: number, nanoseconds: number): void {
  check(futimens(fd, withMtime(seconds, nanoseconds)), 'futimens', `fd ${fd}`);
}

/** The same for an entry by name, symlinks themselves included. */
export function setMtimeAt(dirfd: number, name: CString, seconds: number, nanoseconds: number): void {
  check(utimensat(dirfd, name, withMtime(seconds, nanoseconds), AT_SYMLINK_NOFOLLOW), 'utimensat', name);
}

/** The same for what a path leads to, at the end of any symlinks: `/proc/self/fd/N` for a descriptor with O_PATH. */
export function setMtimeOf(path: CString, seconds: number, nanoseconds: number): void {
  check(utimensat(AT_FDCWD, path, withMtime(seconds, nanoseconds), 0), 'utimensat', path);
}

function withMtime(seconds: number, nanoseconds: number): Uint8Array {
  times.writeInt32LE(Math.floor(seconds / 0x1_0000_0000), 20);
  times.writeUInt32LE(seconds - Math.floor(seconds / 0x1_0000_0000) * 0x1_0000_0000, 16);
  times.writeUInt32LE(nanoseconds, 24);
  return times;
}
