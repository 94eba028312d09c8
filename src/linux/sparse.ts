import { bind, check, lastErrno } from './libc.ts';

const lseek = bind('int64 lseek(int fd, int64 offset, int whence)');
const fallocate = bind('int fallocate(int fd, int mode, int64 offset, int64 length)');

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const ENXIO = 6;
const EINVAL = 22;
const EOPNOTSUPP = 95;

/** lseek(2) SEEK_DATA: where data begins at or after `offset`, or -1 if only a hole is left. */
export function nextData(fd: number, offset: number): number {
  const found = lseek(fd, offset, SEEK_DATA);
  if (found >= 0) return found;
  if (lastErrno() === ENXIO) return -1;
  return lastErrno() === EINVAL ? offset : check(found, 'lseek', `fd ${fd}`);
}

/** lseek(2) SEEK_HOLE: where the next hole begins, the end of the file at the latest; `end` where the call is unknown. */
export function nextHole(fd: number, offset: number, end: number): number {
  const found = lseek(fd, offset, SEEK_HOLE);
  if (found >= 0) return found;
  return lastErrno() === EINVAL || lastErrno() === ENXIO ? end : check(found, 'lseek', `fd ${fd}`);
}

/** fallocate(2) PUNCH_HOLE: false where the file system has no such thing, and the range must be zeroed by writing. */
export function punchHole(fd: number, offset: number, length: number): boolean {
  const result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
  if (result < 0 && lastErrno() === EOPNOTSUPP) return false;
  check(result, 'fallocate', `fd ${fd}`);
  return true;
}

/** fallocate(2) that gives a range room where it has none, and changes nothing else; false where that can't be had. */
export function reserve(fd: number, offset: number, length: number): boolean {
  const result = fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length);
  if (result < 0 && lastErrno() === EOPNOTSUPP) return false;
  check(result, 'fallocate', `fd ${fd}`);
  return true;
}
