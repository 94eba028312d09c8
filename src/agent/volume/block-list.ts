import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { HASH_BYTES } from './format.ts';
import { MANY_BLOCKS, type RecordView } from './record.ts';

/** One entry: 16 bytes of hash, 16 page bits. Page bits 0: a run of holes, its length in blocks in the first 6 bytes. */
export const ENTRY_BYTES = HASH_BYTES + 2;
const BUFFER_BYTES = ENTRY_BYTES * 4096;

/** The blocks file: for each file of many blocks the hashes of its blocks, holes as runs. Appended to only. */
export class BlockListWriter {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #filled = 0;
  #written = 0;
  #holes = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'w', 0o600);
  }

  /** Where the next list will begin. */
  get position(): number {
    return this.#written + this.#filled;
  }

  addBlock(hash: Uint8Array, pageBits: number): void {
    this.#endHoles();
    this.#put(hash, pageBits);
  }

  addHoles(count: number): void {
    this.#holes += count;
  }

  /** Ends the list of one file. */
  endList(): void {
    this.#endHoles();
  }

  /** Takes over the list of an unchanged file as it is. */
  copy(bytes: Uint8Array): void {
    this.#flush();
    writeAll(this.#fd, bytes, this.#written);
    this.#written += bytes.length;
  }

  flush(durable: boolean): void {
    this.#flush();
    if (durable) fdatasyncSync(this.#fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #endHoles(): void {
    if (this.#holes === 0) return;
    const run = Buffer.alloc(HASH_BYTES);
    run.writeUIntLE(this.#holes, 0, 6);
    this.#holes = 0;
    this.#put(run, 0);
  }

  #put(hash: Uint8Array, pageBits: number): void {
    if (this.#filled === BUFFER_BYTES) this.#flush();
    this.#buffer.set(hash, this.#filled);
    this.#buffer.writeUInt16LE(pageBits, this.#filled + HASH_BYTES);
    this.#filled += ENTRY_BYTES;
  }

  #flush(): void {
    writeAll(this.#fd, this.#buffer.subarray(0, this.#filled), this.#written);
    this.#written += this.#filled;
    this.#filled = 0;
  }
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}

/** Reads the block list of one file after the other, each from its first block on. */
export class BlockListReader {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #bufferStart = 0;
  #bufferLength = 0;
  #next = 0;
  #end = 0;
  #only: { hash: Buffer; pageBits: number } | null = null;
  #holes = 0;
  /** Of the block that `next` moved to; page bits 0 is a hole. */
  hash: Buffer = Buffer.alloc(HASH_BYTES);
  pageBits = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
  }

  /** To before the first block of a file. */
  begin(file: RecordView): void {
    const isMany = file.has(MANY_BLOCKS);
    this.#only = isMany || file.size === 0 ? null : { hash: Buffer.from(file.hash), pageBits: file.pageBits };
    this.#next = isMany ? file.reference : 0;
    this.#end = isMany ? file.reference + file.hashesLength : 0;
    this.#holes = 0;
  }

  /** To the file's next block: false if the list ends before it. */
  next(): boolean {
    if (this.#holes > 0) {
      this.#holes -= 1;
      return true;
    }
    if (this.#only !== null) {
      this.hash = this.#only.hash;
      this.pageBits = this.#only.pageBits;
      this.#only = null;
      return true;
    }
    return this.#nextEntry();
  }

  /** How many blocks from here on, at most `limit`, are holes for sure; they are passed over. */
  skipHoles(limit: number): number {
    if (this.#holes === 0 && !this.#peekHoles()) return 0;
    const count = Math.min(limit, this.#holes);
    this.#holes -= count;
    return count;
  }

  /** The list of a file as it stands there, piece by piece. */
  *raw(file: RecordView): Generator<Buffer> {
    this.#next = file.reference;
    this.#end = file.reference + file.hashesLength;
    while (this.#next < this.#end) {
      this.#load();
      if (this.#bufferLength === 0) return;
      const length = Math.min(this.#bufferLength, this.#end - this.#next);
      yield this.#buffer.subarray(0, length);
      this.#next += length;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #peekHoles(): boolean {
    if (this.#only !== null || !this.#reach()) return false;
    const at = this.#next - this.#bufferStart;
    if (this.#buffer.readUInt16LE(at + HASH_BYTES) !== 0) return false;
    this.#holes = this.#buffer.readUIntLE(at, 6);
    this.#next += ENTRY_BYTES;
    this.pageBits = 0;
    return this.#holes > 0;
  }

  #nextEntry(): boolean {
    if (!this.#reach()) return false;
    const at = this.#next - this.#bufferStart;
    this.#next += ENTRY_BYTES;
    this.hash = this.#buffer.subarray(at, at + HASH_BYTES);
    this.pageBits = this.#buffer.readUInt16LE(at + HASH_BYTES);
    if (this.pageBits === 0) this.#holes = Math.max(0, this.#buffer.readUIntLE(at, 6) - 1);
    return true;
  }

  /** Has the next entry in the buffer; false at the end of the list. */
  #reach(): boolean {
    if (this.#next + ENTRY_BYTES > this.#end) return false;
    const inBuffer = this.#next >= this.#bufferStart;
    if (inBuffer && this.#next + ENTRY_BYTES <= this.#bufferStart + this.#bufferLength) return true;
    this.#load();
    return this.#bufferLength >= ENTRY_BYTES;
  }

  #load(): void {
    this.#bufferStart = this.#next;
    this.#bufferLength = readSync(this.#fd, this.#buffer, 0, BUFFER_BYTES, this.#next);
  }
}
