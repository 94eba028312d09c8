import { direntInode, direntLength, direntNameStart, readDirents, rewindDirents } from '../../linux/dirents.ts';

const CHUNK_BYTES = 65536;

/**
 * The names of one directory, packed as the kernel gives them and sorted by bytes, without "." and "..". Made once and
 * filled again for directory after directory.
 */
export class Listing {
  #bytes = Buffer.allocUnsafeSlow(2 * CHUNK_BYTES);
  #order = new Uint32Array(0);

  static of(fd: number): Listing {
    return new Listing().read(fd);
  }

  read(fd: number): this {
    this.#sort(this.#readAll(fd));
    return this;
  }

  get count(): number {
    return this.#order.length;
  }

  /** With the NUL behind it. */
  name(index: number): Buffer {
    const begin = this.#order[index] ?? 0;
    return this.#bytes.subarray(begin, this.#bytes.indexOf(0, begin) + 1);
  }

  inode(index: number): { low: number; high: number } {
    return direntInode(this.#bytes, this.#order[index] ?? 0);
  }

  #readAll(fd: number): number {
    rewindDirents(fd);
    let filled = 0;
    while (true) {
      if (this.#bytes.length - filled < CHUNK_BYTES) this.#enlarge(filled);
      const length = readDirents(fd, this.#bytes.subarray(filled, filled + CHUNK_BYTES));
      if (length === 0) return filled;
      filled += length;
    }
  }

  #enlarge(filled: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.ceil(this.#bytes.length * 1.5) + CHUNK_BYTES);
    this.#bytes.copy(larger, 0, 0, filled);
    this.#bytes = larger;
  }

  #sort(filled: number): void {
    const bytes = this.#bytes;
    let count = 0;
    const order = new Uint32Array(Math.floor(filled / 24));
    for (let at = 0; at < filled; at += direntLength(bytes, at)) {
      const begin = direntNameStart(at);
      if (isDots(bytes, begin)) continue;
      order[count] = begin;
      count += 1;
    }
    this.#order = order.subarray(0, count).sort((a, b) => compareCStrings(bytes, a, b));
  }
}

const DOT = 0x2e;

function isDots(bytes: Buffer, at: number): boolean {
  if (bytes[at] !== DOT) return false;
  return bytes[at + 1] === 0 || (bytes[at + 1] === DOT && bytes[at + 2] === 0);
}

function compareCStrings(bytes: Buffer, a: number, b: number): number {
  for (let i = 0; ; i += 1) {
    const left = bytes[a + i] ?? 0;
    const right = bytes[b + i] ?? 0;
    if (left !== right) return left - right;
    if (left === 0) return 0;
  }
}
