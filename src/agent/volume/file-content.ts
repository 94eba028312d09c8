import { readSync } from 'node:fs';
import { type Range, unwrittenRanges } from '../../linux/extents.ts';
import { nextData, nextHole } from '../../linux/sparse.ts';
import type { BlockHash } from './block-hash.ts';
import { BLOCK_BYTES, PAGE_BYTES } from './format.ts';
import { mayBeUneven } from './reserved-room.ts';

const zeros = Buffer.alloc(BLOCK_BYTES);

export function isZeros(bytes: Buffer): boolean {
  return bytes.equals(bytes.length === BLOCK_BYTES ? zeros : zeros.subarray(0, bytes.length));
}

/** Page bits of a block of `length` bytes without any hole. */
export function fullBits(length: number): number {
  return 2 ** Math.ceil(length / PAGE_BYTES) - 1;
}

/** Asks the file system where a file's data is, from the beginning to the end. */
class DataMap {
  readonly #fd: number;
  readonly #size: number;
  #dataStart = 0;
  #dataEnd = 0;
  #reserved: Range[] | null = null;
  /** Those before end before the block that is looked at: blocks come in order. */
  #nextReserved = 0;

  constructor(fd: number, size: number) {
    this.#fd = fd;
    this.#size = size;
  }

  /** The first byte of data at or after `offset`; the file's size if there is none. */
  dataAt(offset: number): number {
    while (this.#dataEnd <= offset && this.#dataEnd < this.#size) this.#advance(Math.max(offset, this.#dataEnd));
    return Math.max(offset, Math.min(this.#dataStart, this.#size));
  }

  /** Which pages of a block hold data. */
  pageBits(offset: number, bytes: Buffer): number {
    const { length } = bytes;
    let bits = 0;
    for (let at = this.dataAt(offset); at < offset + length; at = this.dataAt(this.#dataEnd)) {
      const end = Math.min(this.#dataEnd, offset + length);
      const first = Math.floor((at - offset) / PAGE_BYTES);
      for (let page = first; page * PAGE_BYTES < end - offset; page += 1) bits |= 1 << page;
      if (this.#dataEnd >= offset + length) break;
    }
    return bits & ~this.#reservedBits(offset, bytes);
  }

  /** SEEK_DATA calls reserved room data once somebody has read it: such pages are known by being zeros as well. */
  #reservedBits(offset: number, bytes: Buffer): number {
    this.#reserved ??= unwrittenRanges(this.#fd);
    let bits = 0;
    for (let index = this.#nextReserved; index < this.#reserved.length; index += 1) {
      const range = this.#reserved[index] ?? { offset: 0, length: 0 };
      if (range.offset >= offset + bytes.length) break;
      const end = Math.min(range.offset + range.length - offset, bytes.length);
      if (end <= 0) this.#nextReserved = index + 1;
      for (
        let page = Math.max(0, Math.floor((range.offset - offset) / PAGE_BYTES));
        page * PAGE_BYTES < end;
        page += 1
      ) {
        if (isZeros(bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES))) bits |= 1 << page;
      }
    }
    return bits;
  }

  #advance(from: number): void {
    const start = nextData(this.#fd, from);
    this.#dataStart = start < 0 ? this.#size : start;
    this.#dataEnd = start < 0 ? this.#size : Math.max(start + 1, nextHole(this.#fd, start, this.#size));
  }
}

/** What `readContent` tells about a file, block by block in order. */
export interface ContentSink {
  /** Where the next block's bytes shall be read to, of exactly this length. */
  room(length: number): Buffer;
  /** One block; its bytes are what `room` gave. */
  block(offset: number, bytes: Buffer, hash: Buffer, pageBits: number): void;
  /** A run of blocks without any data. */
  holes(offset: number, length: number): void;
}

/**
 * Reads and hashes a file of `size` bytes. Where the file is shorter by now, the rest counts as a hole.
 * @returns false if it was shorter.
 */
export function readContent(
  { fd, size, allocatedBytes }: { fd: number; size: number; allocatedBytes: number },
  hash: BlockHash,
  sink: ContentSink,
): boolean {
  const map = mayBeUneven(size, allocatedBytes, BLOCK_BYTES) ? new DataMap(fd, size) : null;
  for (let offset = 0; offset < size; ) {
    const data = map === null ? offset : map.dataAt(offset);
    const hole = data >= size ? size - offset : Math.floor((data - offset) / BLOCK_BYTES) * BLOCK_BYTES;
    if (hole > 0) {
      sink.holes(offset, hole);
      offset += hole;
      continue;
    }
    const length = Math.min(BLOCK_BYTES, size - offset);
    const bytes = sink.room(length);
    if (!readFully(fd, bytes, offset)) {
      sink.holes(offset, size - offset);
      return false;
    }
    const pageBits = map === null ? fullBits(length) : map.pageBits(offset, bytes);
    const isZeroBlock = length === BLOCK_BYTES && isZeros(bytes);
    if (pageBits === 0) sink.holes(offset, length);
    else sink.block(offset, bytes, isZeroBlock ? hash.ofZeros(length) : hash.of(bytes), pageBits);
    offset += length;
  }
  return true;
}

/** False if the file ends before `bytes` are full. */
export function readFully(fd: number, bytes: Buffer, position: number): boolean {
  let done = 0;
  while (done < bytes.length) {
    const length = readSync(fd, bytes, done, bytes.length - done, position + done);
    if (length === 0) return false;
    done += length;
  }
  return true;
}
