import { bind, check, lastErrno } from './libc.ts';

const ioctl = bind('int ioctl(int fd, ulong request, void *argument)');

/** linux/fiemap.h: a head of 32 bytes, then 56 for each extent. */
const FS_IOC_FIEMAP = 0xc020660b;
const FIEMAP_FLAG_SYNC = 1;
const EXTENT_LAST = 0x1;
const EXTENT_UNWRITTEN = 0x800;
const HEAD_BYTES = 32;
const EXTENT_BYTES = 56;
const EXTENTS_AT_ONCE = 128;

const [ENOTTY, EOPNOTSUPP, EINVAL] = [25, 95, 22];

const request = Buffer.alloc(HEAD_BYTES + EXTENTS_AT_ONCE * EXTENT_BYTES);

export type Range = { offset: number; length: number };

/**
 * Where a file has room that nothing was written to (fallocate(2)), neighbours as one, beyond its end too. The file is
 * written back first. Nothing where the file system can't tell.
 */
export function unwrittenRanges(fd: number): Range[] {
  const ranges: Range[] = [];
  const whole = { offset: 0, length: Number.MAX_SAFE_INTEGER };
  eachExtent(fd, whole, FIEMAP_FLAG_SYNC, ({ offset, length }, flags) => {
    if ((flags & EXTENT_UNWRITTEN) !== 0) append(ranges, offset, length);
  });
  return ranges;
}

/** Where a file has room of its own in `range`, written to or not; null where the file system can't tell. */
export function rangesWithRoom(fd: number, range: Range): Range[] | null {
  const ranges: Range[] = [];
  const isTold = eachExtent(fd, range, 0, ({ offset, length }) => append(ranges, offset, length));
  return isTold ? ranges : null;
}

/** FS_IOC_FIEMAP, linux/Documentation/filesystems/fiemap.rst. False where the file system has no such thing. */
function eachExtent(
  fd: number,
  range: Range,
  flags: number,
  onExtent: (extent: Range, flags: number) => void,
): boolean {
  const end = range.offset + range.length;
  for (let from = range.offset, isLast = false; !isLast && from < end; ) {
    const count = mapExtents(fd, { offset: from, length: end - from }, flags);
    if (count === null) return false;
    isLast = count === 0;
    for (let index = 0; index < count; index += 1) {
      const at = HEAD_BYTES + index * EXTENT_BYTES;
      const [offset, length, extentFlags] = [u64(at), u64(at + 16), request.readUInt32LE(at + 40)];
      onExtent({ offset, length }, extentFlags);
      if ((extentFlags & EXTENT_LAST) !== 0) isLast = true;
      from = offset + length;
    }
  }
  return true;
}

function mapExtents(fd: number, { offset, length }: Range, flags: number): number | null {
  request.fill(0, 0, HEAD_BYTES);
  request.writeBigUInt64LE(BigInt(offset), 0);
  request.writeBigUInt64LE(BigInt(length), 8);
  request.writeUInt32LE(flags, 16);
  request.writeUInt32LE(EXTENTS_AT_ONCE, 24);
  const result = ioctl(fd, FS_IOC_FIEMAP, request);
  if (result < 0 && [ENOTTY, EOPNOTSUPP, EINVAL].includes(lastErrno())) return null;
  check(result, 'FS_IOC_FIEMAP', `fd ${fd}`);
  return request.readUInt32LE(20);
}

function append(ranges: Range[], offset: number, length: number): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.offset + last.length === offset) last.length += length;
  else ranges.push({ offset, length });
}

function u64(at: number): number {
  return Number(request.readBigUInt64LE(at));
}
