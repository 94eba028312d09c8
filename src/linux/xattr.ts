import { bind, type CString, check, lastErrno, SystemCallError } from './libc.ts';

const llistxattr = bind('int64 llistxattr(void *path, void *list, size_t size)');
const lgetxattr = bind('int64 lgetxattr(void *path, void *name, void *value, size_t size)');
const setxattr = bind('int setxattr(void *path, void *name, void *value, size_t size, int flags)');
const lsetxattr = bind('int lsetxattr(void *path, void *name, void *value, size_t size, int flags)');
const lremovexattr = bind('int lremovexattr(void *path, void *name)');
const flistxattr = bind('int64 flistxattr(int fd, void *list, size_t size)');
const fgetxattr = bind('int64 fgetxattr(int fd, void *name, void *value, size_t size)');
const fsetxattr = bind('int fsetxattr(int fd, void *name, void *value, size_t size, int flags)');
const fremovexattr = bind('int fremovexattr(int fd, void *name)');

const ENODATA = 61;
const ENOTSUP = 95;

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h: what the kernel hands out at most. */
export const XATTR_MAX_BYTES = 65536;

/** An open file or directory (not O_PATH), or the path of an entry, which is not followed if it is a symlink. */
export type XattrHolder = number | CString;

/** listxattr(2): the bytes of the NUL-terminated names put into `list`; 0 where the file system has no attributes. */
export function listXattrs(holder: XattrHolder, list: Uint8Array): number {
  const isFd = typeof holder === 'number';
  const length = isFd ? flistxattr(holder, list, list.length) : llistxattr(holder, list, list.length);
  if (length < 0 && lastErrno() === ENOTSUP) return 0;
  return check(length, 'listxattr', shown(holder));
}

/** getxattr(2): the value's length, or -1 if there is no such attribute. */
export function getXattr(holder: XattrHolder, name: CString, value: Uint8Array): number {
  const isFd = typeof holder === 'number';
  const length = isFd ? fgetxattr(holder, name, value, value.length) : lgetxattr(holder, name, value, value.length);
  if (length < 0 && lastErrno() === ENODATA) return -1;
  return check(length, 'getxattr', shown(holder));
}

/** setxattr(2): creates or replaces. */
export function setXattr(holder: XattrHolder, name: CString, value: Uint8Array): void {
  const isFd = typeof holder === 'number';
  const result = isFd
    ? fsetxattr(holder, name, value, value.length, 0)
    : lsetxattr(holder, name, value, value.length, 0);
  check(result, 'setxattr', shown(holder));
}

/** The same for what a path leads to, at the end of any symlinks: `/proc/self/fd/N` for a descriptor with O_PATH. */
export function setXattrOf(path: CString, name: CString, value: Uint8Array): void {
  check(setxattr(path, name, value, value.length, 0), 'setxattr', path);
}

/** removexattr(2); an attribute that isn't there is fine. */
export function removeXattr(holder: XattrHolder, name: CString): void {
  const result = typeof holder === 'number' ? fremovexattr(holder, name) : lremovexattr(holder, name);
  if (result < 0 && lastErrno() !== ENODATA) throw new SystemCallError(lastErrno(), 'removexattr', shown(holder));
}

function shown(holder: XattrHolder): CString | string {
  return typeof holder === 'number' ? `fd ${holder}` : holder;
}
