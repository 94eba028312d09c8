/** Most slots taken before the table doubles. */
const MAX_LOAD = 0.75;
/** Offsets of records are multiples of this, which lets 32 bits reach 32 GiB of manifest. */
const OFFSET_UNIT = 8;

export type IndexTable = {
  low: Uint32Array<ArrayBuffer>;
  high: Uint32Array<ArrayBuffer>;
  offset: Uint32Array<ArrayBuffer>;
  count: number;
};

/**
 * Inode number → offset of the record of its first name, in typed arrays: 13 bytes a slot instead of an object per file.
 * `match` and `marks` belong to the comparison of two trees and are valid once the table no longer grows.
 */
export class InodeIndex {
  #low: Uint32Array<ArrayBuffer>;
  /** Empty until a number needs more than 32 bits, which on most file systems none does. */
  #high: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  #offset: Uint32Array<ArrayBuffer>;
  #match = new Uint32Array(0);
  #marks = new Uint8Array(0);
  #count = 0;

  constructor(expected = 1024) {
    const slots = Math.max(1024, Math.ceil(expected / MAX_LOAD));
    this.#low = new Uint32Array(slots);
    this.#offset = new Uint32Array(slots);
  }

  get count(): number {
    return this.#count;
  }

  /** The table itself, to be kept and made into an index again. */
  get table(): IndexTable {
    return { low: this.#low, high: this.#high, offset: this.#offset, count: this.#count };
  }

  static fromTable({ low, high, offset, count }: IndexTable): InodeIndex {
    const index = new InodeIndex();
    index.#low = low;
    index.#high = high;
    index.#offset = offset;
    index.#count = count;
    return index;
  }

  /** The slot of an inode, or -1. */
  find(low: number, high: number): number {
    const slots = this.#offset.length;
    for (let slot = start(low, high, slots); ; slot = slot + 1 === slots ? 0 : slot + 1) {
      if (this.#offset[slot] === 0) return -1;
      if (this.#low[slot] === low && (this.#high[slot] ?? 0) === high) return slot;
    }
  }

  /** False if the inode is there already. */
  add(low: number, high: number, offset: number): boolean {
    if (this.#count >= this.#offset.length * MAX_LOAD) this.#grow();
    return this.#put(low, high, offset / OFFSET_UNIT + 1);
  }

  offsetAt(slot: number): number {
    return ((this.#offset[slot] ?? 0) - 1) * OFFSET_UNIT;
  }

  forEach(visit: (low: number, high: number) => void): void {
    for (let slot = 0; slot < this.#offset.length; slot += 1) {
      if (this.#offset[slot] !== 0) visit(this.#low[slot] ?? 0, this.#high[slot] ?? 0);
    }
  }

  /** Makes room for matches and marks, all empty. */
  beginComparison(): void {
    this.#match = new Uint32Array(this.#offset.length);
    this.#marks = new Uint8Array(this.#offset.length);
  }

  /** The slot of the same inode in the other tree's index, or -1. */
  matchOf(slot: number): number {
    return (this.#match[slot] ?? 0) - 1;
  }

  setMatch(slot: number, other: number): void {
    this.#match[slot] = other + 1;
  }

  marksOf(slot: number): number {
    return this.#marks[slot] ?? 0;
  }

  mark(slot: number, marks: number): void {
    this.#marks[slot] = (this.#marks[slot] ?? 0) | marks;
  }

  #put(low: number, high: number, unit: number): boolean {
    const slots = this.#offset.length;
    let slot = start(low, high, slots);
    while (this.#offset[slot] !== 0) {
      if (this.#low[slot] === low && (this.#high[slot] ?? 0) === high) return false;
      slot = slot + 1 === slots ? 0 : slot + 1;
    }
    this.#low[slot] = low;
    if (high !== 0) this.#setHigh(slot, high);
    this.#offset[slot] = unit;
    this.#count += 1;
    return true;
  }

  #setHigh(slot: number, high: number): void {
    if (this.#high.length === 0) this.#high = new Uint32Array(this.#offset.length);
    this.#high[slot] = high;
  }

  #grow(): void {
    const [low, high, offset] = [this.#low, this.#high, this.#offset];
    const slots = Math.ceil(offset.length * 1.6);
    this.#low = new Uint32Array(slots);
    this.#high = new Uint32Array(0);
    this.#offset = new Uint32Array(slots);
    this.#count = 0;
    for (let slot = 0; slot < offset.length; slot += 1) {
      const unit = offset[slot] ?? 0;
      if (unit !== 0) this.#put(low[slot] ?? 0, high[slot] ?? 0, unit);
    }
  }
}

/** Fibonacci hashing; neighbouring inode numbers, the common case, land apart. */
function start(low: number, high: number, slots: number): number {
  const mixed = (Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b)) >>> 0;
  return Math.floor((mixed / 0x1_0000_0000) * slots);
}
