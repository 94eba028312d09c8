import type { ChunkRange } from './chunks.ts';

/**
 * One bit for each chunk of each file, in memory that threads share. A file's bits begin at a byte of their own. Bits are
 * set by the main thread only, and never taken back.
 */
export class Bitmap {
  readonly memory: SharedArrayBuffer;
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#bytes = new Uint8Array(memory);
  }

  has(start: number, chunk: number): boolean {
    return (Atomics.load(this.#bytes, start + (chunk >> 3)) & (1 << (chunk & 7))) !== 0;
  }

  add(start: number, chunk: number): void {
    Atomics.or(this.#bytes, start + (chunk >> 3), 1 << (chunk & 7));
  }

  covers(start: number, chunks: ChunkRange): boolean {
    return this.firstMissing(start, chunks) === chunks.end;
  }

  /** The first chunk of the range whose bit isn't set, or the range's end. */
  firstMissing(start: number, { first, end }: ChunkRange): number {
    let chunk = first;
    while (chunk < end) {
      if ((chunk & 7) === 0 && chunk + 8 <= end && this.#bytes[start + (chunk >> 3)] === 0xff) chunk += 8;
      else if (this.has(start, chunk)) chunk += 1;
      else break;
    }
    return chunk;
  }

  /** A copy, for files. */
  bytes(start: number, end: number): Buffer {
    return Buffer.from(this.#bytes.slice(start, end));
  }

  load(bytes: Uint8Array): void {
    this.#bytes.set(bytes);
  }
}
