import { AT_FDCWD, bind, type CString, check, cstring } from './libc.ts';

const openat2 = bind('int openat(int dirfd, void *path, int flags, uint mode)');
const syscall = bind('long syscall(long number, long dirfd, void *path, void *how, size_t size)');
const close2 = bind('int close(int fd)');

/** Flags of open(2), asm-generic/fcntl.h, equal on x86-64; O_DIRECTORY and O_NOFOLLOW differ on arm64. */
const arm = process.arch === 'arm64' || process.arch === 'arm';
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NONBLOCK = 0o4000;
export const O_DIRECTORY = arm ? 0o40000 : 0o200000;
export const O_NOFOLLOW = arm ? 0o100000 : 0o400000;
export const O_NOATIME = 0o1000000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;

/** openat(2). The descriptor is closed with `close` of this module: Node doesn't know it. */
export function openAt(dirfd: number, name: CString, flags: number, mode = 0): number {
  return check(openat2(dirfd, name, flags | O_CLOEXEC, mode), 'openat', name);
}

const OPENAT2 = 437;
const RESOLVE_IN_ROOT = 0x10;

/** The same as if `rootFd` were the root directory, for absolute symlinks too: openat2(2). Linux 5.6. */
export function openInRoot(rootFd: number, name: CString, flags: number): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT), 16);
  return check(syscall(OPENAT2, rootFd, name, how, how.length), 'openat2', name);
}

/** close(2); errors are of no use to a caller who only read, so none is thrown. */
export function close(fd: number): void {
  close2(fd);
}

/** Opens the directory `name` of `dirfd` without following a symlink in its place. */
export function openDirectoryAt(dirfd: number, name: CString): number {
  return openAt(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/** Opens a directory by a trusted path: only its last component may not be a symlink. */
export function openDirectory(path: string): number {
  return openDirectoryAt(AT_FDCWD, cstring(path));
}

/** Opens again what an O_PATH descriptor refers to, through proc(5)'s magic link. */
export function reopen(fd: number, flags: number): number {
  return openAt(AT_FDCWD, cstring(`/proc/self/fd/${fd}`), flags);
}
