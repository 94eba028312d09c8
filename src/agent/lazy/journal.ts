import {
  closeSync,
  existsSync,
  fdatasync,
  fsync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ChunkRange } from './chunks.ts';
import type { FileTable } from './file-table.ts';

const syncOf = promisify(fsync);
const syncDataOf = promisify(fdatasync);
const path = (stateDir: string, name: 'here' | 'durable'): string => join(stateDir, `chunks-${name}`);

/** One file and some of its chunks. */
export type FileChunks = { file: number; chunks: ChunkRange };

/**
 * The two bitmaps on disk. `chunks-here` is written before a chunk counts as here and is never synced: it survives the end
 * of this process, and means nothing after a power cut, nor once something could not be synced: then it is forgotten, before anything
 * says that it was written since. `chunks-durable` is synced, after the content that it vouches for.
 */
export class Journal implements Disposable {
  readonly #table: FileTable;
  readonly #hereFd: number;
  readonly #durableFd: number;
  /** What may be written: bits of content that is on the disk, a little ahead of those that count as durable. */
  readonly #onDisk: Buffer;

  constructor(stateDir: string, table: FileTable) {
    this.#table = table;
    this.#onDisk = readFileSync(path(stateDir, 'durable'));
    const before = existsSync(path(stateDir, 'here')) ? readFileSync(path(stateDir, 'here')) : null;
    // Bits that a process before this one wrote, and did not get to sync, or could not: a page that failed is not written twice.
    if (before !== null) replaceDurable(stateDir, this.#onDisk);
    table.durable.load(this.#onDisk);
    const isKnown = before !== null && before.length === this.#onDisk.length;
    if (!isKnown) {
      writeFileSync(`${path(stateDir, 'here')}.next`, this.#onDisk, { mode: 0o600 });
      renameSync(`${path(stateDir, 'here')}.next`, path(stateDir, 'here'));
    }
    table.here.load(isKnown ? before : this.#onDisk);
    this.#durableFd = openSync(path(stateDir, 'durable'), 'r+');
    this.#hereFd = openSync(path(stateDir, 'here'), 'r+');
  }

  /** For the next journal here is only what is durable. */
  static forgetHere(stateDir: string): void {
    if (existsSync(path(stateDir, 'here'))) truncateSync(path(stateDir, 'here'));
  }

  /** What is complete when the target begins: chunks without data at the source. Its content is on the disk on return, its name with the volume's record. */
  static async create(stateDir: string, durable: Uint8Array): Promise<void> {
    const fd = openSync(path(stateDir, 'durable'), 'w', 0o600);
    try {
      for (let at = 0; at < durable.length; ) at += writeSync(fd, durable, at);
      await syncOf(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** The content of these chunks has been written. */
  addHere({ file, chunks }: FileChunks): void {
    const start = this.#table.start(file);
    const [from, end] = bytesOf(start, chunks);
    const bytes = this.#table.here.bytes(from, end);
    setBits(bytes, from, start, chunks);
    writeSync(this.#hereFd, bytes, 0, bytes.length, from);
    for (let chunk = chunks.first; chunk < chunks.end; chunk += 1) this.#table.here.add(start, chunk);
    if (this.#table.here.covers(start, this.#table.allChunks(file))) this.#table.setHere(file);
  }

  /** The content of these chunks is on the disk; on return the journal says so there, too. */
  async addDurable(batch: readonly FileChunks[]): Promise<void> {
    for (const { file, chunks } of batch) {
      const start = this.#table.start(file);
      const [from, end] = bytesOf(start, chunks);
      setBits(this.#onDisk, 0, start, chunks);
      writeSync(this.#durableFd, this.#onDisk, from, end - from, from);
    }
    await syncDataOf(this.#durableFd);
    for (const { file, chunks } of batch) {
      const start = this.#table.start(file);
      for (let chunk = chunks.first; chunk < chunks.end; chunk += 1) this.#table.durable.add(start, chunk);
      if (this.#table.durable.covers(start, this.#table.allChunks(file))) this.#table.setDone(file);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#hereFd);
    closeSync(this.#durableFd);
  }
}

/** Whole, and durable, or as before. */
function replaceDurable(stateDir: string, bytes: Uint8Array): void {
  const next = `${path(stateDir, 'durable')}.next`;
  writeFileSync(next, bytes, { mode: 0o600, flush: true });
  renameSync(next, path(stateDir, 'durable'));
  const directory = openSync(stateDir, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** First and end byte of the bitmap that hold these chunks' bits. */
function bytesOf(start: number, { first, end }: ChunkRange): [number, number] {
  return [start + (first >> 3), start + ((end + 7) >> 3)];
}

/** Sets bits in `bytes`, which begin at byte `from` of the bitmap. */
function setBits(bytes: Buffer, from: number, start: number, { first, end }: ChunkRange): void {
  for (let chunk = first; chunk < end; chunk += 1) {
    const at = start + (chunk >> 3) - from;
    bytes[at] = (bytes[at] ?? 0) | (1 << (chunk & 7));
  }
}
