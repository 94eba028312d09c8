import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, bind, type CString, check, cstring } from './libc.ts';

const fchown2 = bind('int fchown(int fd, uint uid, uint gid)');
const fchmod2 = bind('int fchmod(int fd, uint mode)');
const fchownat = bind('int fchownat(int dirfd, void *path, uint uid, uint gid, int flags)');
const fchmodat = bind('int fchmodat(int dirfd, void *path, uint mode, int flags)');

/** fchown(2). Clears set-id bits and security.capability of a file. */
export function chown(fd: number, uid: number, gid: number): void {
  check(fchown2(fd, uid, gid), 'fchown', `fd ${fd}`);
}

/** fchmod(2), all twelve bits, whatever the umask. */
export function chmod(fd: number, mode: number): void {
  check(fchmod2(fd, mode), 'fchmod', `fd ${fd}`);
}

/** fchownat(2) of the entry itself, symlinks included. */
export function chownAt(dirfd: number, name: CString, uid: number, gid: number): void {
  check(fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW), 'fchownat', name);
}

/** chmod(2) of what an O_PATH descriptor refers to, which fchmod(2) refuses; through proc(5)'s magic link. */
export function chmodPathFd(fd: number, mode: number): void {
  check(fchmodat(AT_FDCWD, cstring(`/proc/self/fd/${fd}`), mode, 0), 'fchmodat', `fd ${fd}`);
}
