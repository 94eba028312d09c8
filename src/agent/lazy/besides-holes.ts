import { type Range, rangesWithRoom } from '../../linux/extents.ts';

const BLOCK_BYTES = 4096;
const zeros = Buffer.alloc(BLOCK_BYTES);

/**
 * What of `bytes`, which belong at `offset` (a multiple of a block) of a placeholder, is to be written: all but the zeros
 * that it has holes for. A chunk is larger than a block: where one begins in a hole and ends in data, its hole would be
 * filled up, and SEEK_DATA (lseek(2)) would find something in a place where the source has nothing.
 */
export function besidesHoles(fd: number, bytes: Buffer, offset: number): Range[] {
  const whole = { offset, length: bytes.length };
  const empty = emptyBlocks(bytes);
  const room = empty.length === 0 ? null : rangesWithRoom(fd, whole);
  if (room === null) return [whole];
  const parts: Range[] = [];
  let from = 0;
  for (const at of empty) {
    const length = Math.min(BLOCK_BYTES, bytes.length - at);
    if (room.some((range) => range.offset < offset + at + length && range.offset + range.length > offset + at))
      continue;
    if (at > from) parts.push({ offset: offset + from, length: at - from });
    from = at + length;
  }
  if (from < bytes.length) parts.push({ offset: offset + from, length: bytes.length - from });
  return parts;
}

/** Where blocks of nothing but zeros begin. */
function emptyBlocks(bytes: Buffer): number[] {
  const empty: number[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const end = Math.min(at + BLOCK_BYTES, bytes.length);
    if (bytes[at] === 0 && bytes.compare(zeros, 0, end - at, at, end) === 0) empty.push(at);
  }
  return empty;
}
