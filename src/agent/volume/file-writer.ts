import { writeSync } from 'node:fs';
import { CargoError } from '../../api/cargo-error.ts';
import { punchHole } from '../../linux/sparse.ts';
import { startWriteBack } from '../../linux/sync.ts';
import type { BlockHash } from './block-hash.ts';
import { withPath } from './error-path.ts';
import { fullBits } from './file-content.ts';
import { BLOCK_BYTES, PAGE_BYTES } from './format.ts';
import { type OpReader, violation } from './op-reader.ts';

const zeros = Buffer.alloc(BLOCK_BYTES);

/** So much of a file is left to the page cache before the disk is set to work: the sync that ends a round then finds little to do. */
const WRITE_BACK_BYTES = 8 * 1024 * 1024;

/** Writes blocks into an open file that has its size already. */
export class FileWriter {
  readonly #fd: number;
  readonly #size: number;
  readonly #isNew: boolean;
  readonly #path: string;
  /** What was written since the disk was set to work lies in here. */
  #dirtyFrom = 0;
  #dirtyBytes = 0;

  constructor(fd: number, size: number, isNew: boolean, path: string) {
    this.#fd = fd;
    this.#size = size;
    this.#isNew = isNew;
    this.#path = path;
  }

  /** Returns the number of bytes that travelled. */
  data(reader: OpReader, hasher: BlockHash): number {
    const [offset, length, pageBits, hash] = [reader.u64(), reader.u32(), reader.u32(), reader.hash()];
    this.#checkBlock(offset, length);
    const bytes = reader.data(length);
    if (!hasher.of(bytes).equals(hash)) {
      const message = `The data of ${this.#path} at ${offset} arrived damaged; it was not written.`;
      throw new CargoError('CHECKSUM_MISMATCH', message);
    }
    this.#writePages(bytes, offset, pageBits);
    this.#writeBack(offset, length);
    return length;
  }

  zero(reader: OpReader): void {
    const [offset, length, pageBits] = [reader.u64(), reader.u32(), reader.u32()];
    this.#checkBlock(offset, length);
    this.#writePages(zeros.subarray(0, length), offset, pageBits);
  }

  hole(reader: OpReader): void {
    const [offset, length] = [reader.u64(), reader.u64()];
    if (offset + length > this.#size) throw violation('a hole lies outside its file');
    this.#punch(offset, length);
  }

  write(bytes: Uint8Array, offset: number): void {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
      }
    } catch (error) {
      throw withPath(error, this.#path);
    }
  }

  #writeBack(offset: number, length: number): void {
    this.#dirtyFrom = this.#dirtyBytes === 0 ? offset : Math.min(this.#dirtyFrom, offset);
    this.#dirtyBytes += length;
    if (this.#dirtyBytes < WRITE_BACK_BYTES) return;
    startWriteBack(this.#fd, this.#dirtyFrom, offset + length - this.#dirtyFrom);
    this.#dirtyBytes = 0;
  }

  #checkBlock(offset: number, length: number): void {
    if (length === 0 || length > BLOCK_BYTES || offset % BLOCK_BYTES !== 0 || offset + length > this.#size) {
      throw violation('a block lies outside its file');
    }
  }

  /** Writes the pages that hold data, and sees to it that the others are holes. */
  #writePages(bytes: Buffer, offset: number, pageBits: number): void {
    if (pageBits === fullBits(bytes.length)) {
      this.write(bytes, offset);
      return;
    }
    for (let start = 0; start < bytes.length; ) {
      const isData = hasPage(pageBits, start);
      let end = start + PAGE_BYTES;
      while (end < bytes.length && hasPage(pageBits, end) === isData) end += PAGE_BYTES;
      end = Math.min(end, bytes.length);
      if (isData) this.write(bytes.subarray(start, end), offset + start);
      else if (!this.#isNew) this.#punch(offset + start, end - start);
      start = end;
    }
  }

  #punch(offset: number, length: number): void {
    // The file system frees whole pages only: at the end of the file that includes the one the file ends in.
    const whole = offset + length === this.#size ? Math.ceil(length / BLOCK_BYTES) * BLOCK_BYTES : length;
    if (length === 0 || punchHole(this.#fd, offset, whole)) return;
    for (let at = offset; at < offset + length; at += BLOCK_BYTES) {
      this.write(zeros.subarray(0, Math.min(BLOCK_BYTES, offset + length - at)), at);
    }
  }
}

function hasPage(pageBits: number, offset: number): boolean {
  return (pageBits & (1 << (offset / PAGE_BYTES))) !== 0;
}
