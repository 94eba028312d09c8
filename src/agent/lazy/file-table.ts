import { CargoError } from '../../api/cargo-error.ts';
import type { Stat } from '../../linux/stat.ts';
import { Bitmap } from './bitmap.ts';
import { bitmapBytes, type ChunkRange, chunkCount } from './chunks.ts';

type Device = { major: number; minor: number };

/** What threads share; a message between them carries it. */
export type TableParts = {
  count: number;
  device: Device;
  slots: SharedArrayBuffer;
  /** Of 64-bit numbers the lower halves, and the upper ones: mostly zeros, which take no memory until one is written. */
  inodes: SharedArrayBuffer;
  inodesHigh: SharedArrayBuffer;
  sizes: SharedArrayBuffer;
  sizesHigh: SharedArrayBuffer;
  starts: SharedArrayBuffer;
  flags: SharedArrayBuffer;
  writes: SharedArrayBuffer;
  writing: SharedArrayBuffer;
  here: SharedArrayBuffer;
  durable: SharedArrayBuffer;
};

const SPARSE = 1;
const HERE = 2;
const DONE = 4;
const EMPTY = -1;
const SLOTS_A_FILE = 1.25;
const HIGH = 0x1_0000_0000;
/** Microseconds are counted modulo this. */
const CLOCK = 0x4000_0000;

/**
 * The placeholders of a volume, by their number in the list, in typed arrays that the thread which answers events shares
 * with the one that fetches: some 20 bytes a file. The main thread writes, both read.
 *
 * A chunk is `here` once it was written: it may be read. It is `durable` once it is on the disk and a journal there says
 * so: only then may it be written to, as after a power cut what is not durable is fetched again.
 */
export class FileTable {
  readonly parts: TableParts;
  readonly here: Bitmap;
  readonly durable: Bitmap;
  readonly #slots: Int32Array;
  readonly #inodes: Uint32Array;
  readonly #inodesHigh: Uint32Array;
  readonly #sizes: Uint32Array;
  readonly #sizesHigh: Uint32Array;
  readonly #starts: Uint32Array;
  readonly #flags: Uint8Array;
  readonly #writes: Int32Array;
  readonly #writing: Int32Array;

  constructor(parts: TableParts) {
    this.parts = parts;
    this.here = new Bitmap(parts.here);
    this.durable = new Bitmap(parts.durable);
    this.#slots = new Int32Array(parts.slots);
    this.#inodes = new Uint32Array(parts.inodes);
    this.#inodesHigh = new Uint32Array(parts.inodesHigh);
    this.#sizes = new Uint32Array(parts.sizes);
    this.#sizesHigh = new Uint32Array(parts.sizesHigh);
    this.#starts = new Uint32Array(parts.starts);
    this.#flags = new Uint8Array(parts.flags);
    this.#writes = new Int32Array(parts.writes);
    this.#writing = new Int32Array(parts.writing);
  }

  static ofSize(count: number, bitmap: number, device: Device): FileTable {
    const slots = Math.ceil(count * SLOTS_A_FILE) + 1;
    const shared = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes);
    const table = new FileTable({
      count,
      device,
      slots: shared(slots * 4),
      inodes: shared(count * 4),
      inodesHigh: shared(count * 4),
      sizes: shared(count * 4),
      sizesHigh: shared(count * 4),
      starts: shared(count * 4),
      flags: shared(count),
      writes: shared(count * 4),
      writing: shared(4),
      here: shared(bitmap),
      durable: shared(bitmap),
    });
    table.#slots.fill(EMPTY);
    table.endWrite();
    return table;
  }

  get count(): number {
    return this.parts.count;
  }

  /**
   * `start`: where the file's bits begin.
   * @throws CargoError MIGRATION_FAILED for an inode that is in here: two accounts of what of it is here would both be wrong
   */
  set(file: number, entry: { inode: number; size: number; isSparse: boolean; start: number }): void {
    if (this.findInode(entry.inode) >= 0)
      throw new CargoError('MIGRATION_FAILED', `The source lists a file twice: inode ${entry.inode} at the target.`);
    setBoth(this.#inodes, this.#inodesHigh, file, entry.inode);
    setBoth(this.#sizes, this.#sizesHigh, file, entry.size);
    this.#starts[file] = entry.start;
    if (entry.isSparse) this.#flags[file] = SPARSE;
    let slot = this.#home(entry.inode % HIGH, Math.floor(entry.inode / HIGH));
    while (this.#slots[slot] !== EMPTY) slot = (slot + 1) % this.#slots.length;
    this.#slots[slot] = file;
  }

  /** The placeholder that a file is, or -1. */
  find({ filesystemMajor, filesystemMinor, inodeHigh, inodeLow }: Stat): number {
    const { major, minor } = this.parts.device;
    if (filesystemMajor !== major || filesystemMinor !== minor) return -1;
    return this.#find(inodeLow, inodeHigh);
  }

  /** The placeholder with this inode number, or -1. */
  findInode(inode: number): number {
    return this.#find(inode % HIGH, Math.floor(inode / HIGH));
  }

  size(file: number): number {
    return (this.#sizesHigh[file] ?? 0) * HIGH + (this.#sizes[file] ?? 0);
  }

  /** Where in the bitmaps the file's bits are. */
  start(file: number): number {
    return this.#starts[file] ?? 0;
  }

  bitmapEnd(file: number): number {
    return this.start(file) + bitmapBytes(this.size(file));
  }

  allChunks(file: number): ChunkRange {
    return { first: 0, end: chunkCount(this.size(file)) };
  }

  isSparse(file: number): boolean {
    return this.#has(file, SPARSE);
  }

  /** All of the file is here. */
  isHere(file: number): boolean {
    return this.#has(file, HERE);
  }

  /** All of it is durable: the engine is through with it. */
  isDone(file: number): boolean {
    return this.#has(file, DONE);
  }

  setHere(file: number): void {
    Atomics.or(this.#flags, file, HERE);
  }

  setDone(file: number): void {
    Atomics.or(this.#flags, file, HERE | DONE);
  }

  /** A process is about to be let write to the file. */
  noteWrite(file: number): void {
    Atomics.store(this.#writes, file, clock());
  }

  /** Changes when a process is let write to the file. */
  writeStamp(file: number): number {
    return Atomics.load(this.#writes, file);
  }

  /**
   * The engine writes to the file until `endWrite`; false, and it must not, if a process was let write since `stamp`. Whoever
   * asks `isBeingWritten` after noteWrite and hears no has made it false: the two never write at the same time.
   */
  beginWrite(file: number, stamp: number): boolean {
    Atomics.store(this.#writing, 0, file);
    if (this.writeStamp(file) === stamp) return true;
    this.endWrite();
    return false;
  }

  endWrite(): void {
    Atomics.store(this.#writing, 0, EMPTY);
  }

  isBeingWritten(file: number): boolean {
    return Atomics.load(this.#writing, 0) === file;
  }

  #has(file: number, flag: number): boolean {
    return (Atomics.load(this.#flags, file) & flag) !== 0;
  }

  #find(low: number, high: number): number {
    for (let slot = this.#home(low, high); ; slot = (slot + 1) % this.#slots.length) {
      const file = this.#slots[slot] ?? EMPTY;
      if (file === EMPTY || (this.#inodes[file] === low && this.#inodesHigh[file] === high)) return file;
    }
  }

  #home(low: number, high: number): number {
    const mixed = Math.imul(low, 0x9e37_79b1) ^ Math.imul(high, 0x85eb_ca6b);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % this.#slots.length;
  }
}

function setBoth(lower: Uint32Array, upper: Uint32Array, at: number, value: number): void {
  lower[at] = value % HIGH;
  if (value >= HIGH) upper[at] = Math.floor(value / HIGH);
}

function clock(): number {
  return 1 + (Math.floor((performance.timeOrigin + performance.now()) * 1000) % (CLOCK - 1));
}

/** Milliseconds since a process was let write, by the stamp of it. */
export function sinceStamp(stamp: number): number {
  return stamp === 0 ? Number.POSITIVE_INFINITY : ((clock() - stamp + CLOCK) % CLOCK) / 1000;
}
