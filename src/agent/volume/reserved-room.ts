import { ftruncateSync, statfsSync } from 'node:fs';
import { type Range, unwrittenRanges } from '../../linux/extents.ts';
import { punchHole, reserve } from '../../linux/sparse.ts';
import { XATTR_MAX_BYTES } from '../../linux/xattr.ts';
import { PAGE_BYTES } from './format.ts';
import { violation } from './op-reader.ts';

/** Two u64 each; a file with more of them keeps the first ones. */
const RANGE_BYTES = 16;
const MAX_RANGES = XATTR_MAX_BYTES / RANGE_BYTES;
const XFS_MAGIC = 0x58465342;

/** Files whose blocks are just those of their content, by what stat says, have neither holes nor room to spare. */
export function mayBeUneven(size: number, allocatedBytes: number, blockBytes: number): boolean {
  return size > blockBytes || allocatedBytes < size || allocatedBytes - size >= PAGE_BYTES;
}

/** The room that was given to a file with fallocate(2) and not written to yet, packed; empty where there is none. */
export function packReserved(fd: number, size: number): Buffer {
  const ranges = reservedRanges(fd, size);
  const packed = Buffer.alloc(ranges.length * RANGE_BYTES);
  for (const [index, { offset, length }] of ranges.entries()) {
    packed.writeBigUInt64LE(BigInt(offset), index * RANGE_BYTES);
    packed.writeBigUInt64LE(BigInt(length), index * RANGE_BYTES + 8);
  }
  return packed;
}

/** Gives a file exactly the reserved room that `packed` says: what else it has of it is freed, content stays. */
export function setReserved(fd: number, packed: Buffer, size: number): void {
  if (packed.length % RANGE_BYTES !== 0) throw violation('a list of ranges is cut off');
  const wanted: Range[] = [];
  for (let at = 0; at < packed.length; at += RANGE_BYTES) {
    const [offset, length] = [Number(packed.readBigUInt64LE(at)), Number(packed.readBigUInt64LE(at + 8))];
    if (!Number.isSafeInteger(offset + length) || length === 0) throw violation('a range is impossible');
    wanted.push({ offset, length });
  }
  const ranges = unwrittenRanges(fd);
  for (const range of ranges) freeOutside(fd, range, wanted, size);
  // Holes can't be punched behind the end; a truncation to the size that it has gives back all that lies there.
  if (ranges.some(({ offset, length }) => offset + length > contentEnd(size))) ftruncateSync(fd, size);
  for (const { offset, length } of wanted) if (!reserve(fd, offset, length)) return;
}

function reservedRanges(fd: number, size: number): Range[] {
  let ranges = unwrittenRanges(fd);
  const end = contentEnd(size);
  const last = ranges.at(-1);
  // XFS reserves room behind files that grow by itself, and takes it back again.
  if (last !== undefined && last.offset + last.length > end && isXfs(fd)) {
    ranges = ranges
      .map(({ offset, length }) => ({ offset, length: Math.min(length, end - offset) }))
      .filter(({ length }) => length > 0);
  }
  return ranges.slice(0, MAX_RANGES);
}

/** Where the last page of the content ends. */
function contentEnd(size: number): number {
  return Math.ceil(size / PAGE_BYTES) * PAGE_BYTES;
}

function isXfs(fd: number): boolean {
  return statfsSync(`/proc/self/fd/${fd}`).type === XFS_MAGIC;
}

/** Frees what of an unwritten range lies in the file and in none of the wanted ranges, which are in order. */
function freeOutside(fd: number, range: Range, wanted: readonly Range[], size: number): void {
  const end = Math.min(range.offset + range.length, size);
  let at = range.offset;
  for (const want of [...wanted, { offset: end, length: 0 }]) {
    const gapEnd = Math.min(want.offset, end);
    if (gapEnd > at) punchHole(fd, at, gapEnd - at);
    at = Math.max(at, want.offset + want.length);
  }
}
