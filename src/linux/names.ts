import { bind, type CString, check } from './libc.ts';

const mkdirat = bind('int mkdirat(int dirfd, void *path, uint mode)');
const unlinkat = bind('int unlinkat(int dirfd, void *path, int flags)');
const renameat2 = bind('int renameat2(int olddir, void *oldpath, int newdir, void *newpath, uint flags)');
const linkat = bind('int linkat(int olddir, void *oldpath, int newdir, void *newpath, int flags)');
const symlinkat = bind('int symlinkat(void *target, int dirfd, void *path)');
const readlinkat = bind('int64 readlinkat(int dirfd, void *path, void *buffer, size_t size)');

const AT_REMOVEDIR = 0x200;
const RENAME_NOREPLACE = 1;

/** mkdirat(2). */
export function makeDirectoryAt(dirfd: number, name: CString, mode: number): void {
  check(mkdirat(dirfd, name, mode), 'mkdirat', name);
}

/** unlinkat(2) of anything but a directory. */
export function unlinkAt(dirfd: number, name: CString): void {
  check(unlinkat(dirfd, name, 0), 'unlinkat', name);
}

/** unlinkat(2) of an empty directory. */
export function removeDirectoryAt(dirfd: number, name: CString): void {
  check(unlinkat(dirfd, name, AT_REMOVEDIR), 'rmdir', name);
}

/** renameat2(2) that never replaces: EEXIST where the new name is taken. */
export function renameAt(fromDir: number, from: CString, toDir: number, to: CString): void {
  check(renameat2(fromDir, from, toDir, to, RENAME_NOREPLACE), 'renameat2', from);
}

/** linkat(2): a symlink is linked itself, not what it points to. */
export function linkAt(fromDir: number, from: CString, toDir: number, to: CString): void {
  check(linkat(fromDir, from, toDir, to, 0), 'linkat', from);
}

/** symlinkat(2). */
export function symlinkAt(target: CString, dirfd: number, name: CString): void {
  check(symlinkat(target, dirfd, name), 'symlinkat', name);
}

/** readlinkat(2): the target's length in `into`, which a symlink of up to PATH_MAX fits if it has 4096 bytes. */
export function readLinkAt(dirfd: number, name: CString, into: Uint8Array): number {
  return check(readlinkat(dirfd, name, into, into.length), 'readlinkat', name);
}
