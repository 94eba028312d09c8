import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { readFully } from './file-content.ts';
import { InodeIndex } from './inode-index.ts';
import { PagedFile } from './paged-file.ts';
import { BLOCK, LINK, RACY, RecordView, STALE } from './record.ts';
import { openTree, ROOT, type Tree } from './tree.ts';

/** In front of a kept index: the tree file's length, then how many words each part has. */
const HEAD_WORDS = 8;

type Parts = {
  tree: Tree;
  /** Offsets of the BLOCK records, in order. */
  blocks: Float64Array<ArrayBuffer>;
  /** Offsets of records of further names, in order. */
  links: Float64Array<ArrayBuffer>;
  /** Inodes of which the record doesn't say for certain what they were, halves alternating. */
  unsure: Uint32Array<ArrayBuffer>;
};

/**
 * A tree file in which an entry's directory and an inode's names can be found. What it takes for that can be kept beside
 * the file, so that opening it again costs no look at each record.
 */
export class BaseTree implements Disposable {
  readonly tree: Tree;
  /** They count as changed; halves of numbers alternating. */
  readonly unsure: Uint32Array;
  readonly #parts: Parts;
  /** Further names of an inode, by the offset of the record of its first one. */
  readonly #links = new Map<number, number[]>();
  readonly #view = new RecordView();

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.tree = parts.tree;
    this.unsure = parts.unsure;
    for (const link of parts.links) this.#addLink(link);
  }

  /** With the index that was kept, if it is this file's. @throws CargoError PROTOCOL_ERROR */
  static open(path: string): BaseTree {
    return new BaseTree(readKept(path) ?? collect(path));
  }

  /** Keeps the index of a tree file that is complete. */
  static keepIndex(path: string): void {
    const { tree, blocks, links, unsure } = collect(path);
    using file = tree.file;
    const { low, high, offset, count } = tree.index.table;
    const head = new Float64Array(HEAD_WORDS);
    head.set([file.size, count, low.length, high.length, blocks.length, links.length, unsure.length]);
    const parts = [head, blocks, links, low, high, offset, unsure];
    const fd = openSync(indexPath(path), 'w', 0o600);
    try {
      for (const part of parts.map(bytesOf)) writeFully(fd, part);
    } finally {
      closeSync(fd);
    }
  }

  get file(): PagedFile {
    return this.tree.file;
  }

  /** The record of an inode's first name, or -1. */
  recordOf(low: number, high: number): number {
    const slot = this.tree.index.find(low, high);
    return slot < 0 ? -1 : this.tree.index.offsetAt(slot);
  }

  /** All names of the inode whose first one is at `record`. */
  namesOf(record: number): number[] {
    return [record, ...(this.#links.get(record) ?? [])];
  }

  /** The record of the directory that an entry is in; the entry is not the root. */
  directoryOf(entry: number): number {
    if (entry === ROOT) throw new Error('the root is in no directory');
    const { blocks } = this.#parts;
    let [low, high] = [0, blocks.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((blocks[middle] ?? 0) <= entry) low = middle;
      else high = middle - 1;
    }
    const { inodeLow, inodeHigh } = this.#view.moveTo(this.file, blocks[low] ?? 0);
    return this.recordOf(inodeLow, inodeHigh);
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }

  #addLink(link: number): void {
    const { inodeLow, inodeHigh } = this.#view.moveTo(this.file, link);
    const first = this.recordOf(inodeLow, inodeHigh);
    const known = this.#links.get(first);
    if (known === undefined) this.#links.set(first, [link]);
    else known.push(link);
  }
}

function collect(path: string): Parts {
  const blocks: number[] = [];
  const links: number[] = [];
  const unsure: number[] = [];
  const tree = openTree(path, (record) => {
    if (record.type === BLOCK) blocks.push(record.offset);
    else if (record.has(LINK)) links.push(record.offset);
    else if (record.has(RACY) || record.has(STALE)) unsure.push(record.inodeLow, record.inodeHigh);
  });
  return {
    tree,
    blocks: Float64Array.from(blocks),
    links: Float64Array.from(links),
    unsure: Uint32Array.from(unsure),
  };
}

/** `<label>.index` beside `<label>.tree`. */
export function indexPath(treePath: string): string {
  return treePath.replace(/\.tree$/, '.index');
}

function readKept(path: string): Parts | null {
  const whole = readWhole(indexPath(path));
  if (whole === null) return null;
  const length = whole.byteLength;
  let at = 0;
  const words = (count: number): Uint32Array<ArrayBuffer> => {
    at += 4 * count;
    return new Uint32Array(whole, at - 4 * count, count);
  };
  const doubles = (count: number): Float64Array<ArrayBuffer> => {
    at += 8 * count;
    return new Float64Array(whole, at - 8 * count, count);
  };
  const [size = 0, count = 0, slots = 0, highs = 0, blockCount = 0, linkCount = 0, unsureCount = 0] =
    doubles(HEAD_WORDS);
  const expected = 8 * (HEAD_WORDS + blockCount + linkCount) + 4 * (2 * slots + highs + unsureCount);
  const file = PagedFile.open(path);
  if (size !== file.size || expected !== length) {
    file[Symbol.dispose]();
    return null;
  }
  const [blocks, links] = [doubles(blockCount), doubles(linkCount)];
  const [low, high, offset, unsure] = [words(slots), words(highs), words(slots), words(unsureCount)];
  return { tree: { file, index: InodeIndex.fromTable({ low, high, offset, count }) }, blocks, links, unsure };
}

/** Into memory of its own, once: an index has tens of bytes a file. Null where there is no such file. */
function readWhole(path: string): ArrayBuffer | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  const whole = new ArrayBuffer(stat.size);
  const fd = openSync(path, 'r');
  try {
    return readFully(fd, Buffer.from(whole), 0) ? whole : null;
  } finally {
    closeSync(fd);
  }
}

function writeFully(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
