/**
 * Of a tree `base` that the receiver has, and a list of all inodes that may have changed since, the two small trees in which
 * base and the tree of now differ: `before` holds the entries of base that are not what they were, `after` those that are
 * there instead, and both the directories that lead to them. A directory that was moved is in both without what is in
 * it, unless that changed too. So base - before + after, name by name in each directory, is what a scan would find, and a
 * comparison of the two gives what a comparison of the whole trees would.
 *
 * It relies on this: an inode that is not in the list has the names, attributes and content that it had. What contradicts
 * that throws Uncertain: then the tree must be scanned.
 */
import { isErrno } from '../../linux/libc.ts';
import type { BaseTree } from './base-tree.ts';
import { BlockCursor, moveToRecord } from './block-cursor.ts';
import { copyRecord } from './copy-record.ts';
import { DirectoryStack } from './directory-stack.ts';
import { beginBlock, EntryRecorder, type ScanOptions } from './entry-recorder.ts';
import { DIRECTORY } from './format.ts';
import { InodeIndex } from './inode-index.ts';
import { Listing } from './listing.ts';
import { MarkedEntries } from './marked-entries.ts';
import { RecordView } from './record.ts';
import { ROOT, type Tree } from './tree.ts';

/** The list of changes does not fit what is found. */
export class Uncertain extends Error {}

const NONE = -1;

export type ChangedTreesOptions = Pick<ScanOptions, 'root' | 'poll'> & {
  base: BaseTree;
  /** Numbers of inodes of any file system, lower and upper halves alternating. */
  inodes: Uint32Array;
  /** Empty ones, which are filled. */
  before: Tree;
  after: Tree;
};

/** @throws Uncertain */
export function findChangedTrees(options: ChangedTreesOptions): void {
  new ChangedTrees(options).run();
}

class ChangedTrees {
  readonly #o: ChangedTreesOptions;
  readonly #recorder: EntryRecorder;
  readonly #changed = new InodeIndex();
  readonly #marks: MarkedEntries;
  /** Directories of base whose names are to be listed again. */
  readonly #relisted = new Set<number>();
  /** Directories of base that are not where they were. */
  readonly #gone: number[] = [];
  readonly #base = new RecordView();
  readonly #view = new RecordView();
  readonly #listing = new Listing();

  constructor(options: ChangedTreesOptions) {
    this.#o = options;
    this.#marks = new MarkedEntries(options.base);
    const onChange = (path: string): never => {
      throw new Uncertain(`${path} is not what the list says`);
    };
    this.#recorder = new EntryRecorder({ ...options, ...options.after, onChange });
  }

  run(): void {
    this.#markChanged();
    try {
      this.#writeAfter();
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE')) throw new Uncertain('a directory is gone');
      throw error;
    }
    const isElsewhere = (directory: RecordView): boolean => this.#isInAfter(directory);
    for (const directory of this.#gone) {
      if (!isElsewhere(this.#base.moveTo(this.#o.base.file, directory)))
        this.#marks.addAllBelow(directory, isElsewhere);
    }
    this.#writeBefore();
  }

  #markChanged(): void {
    for (const inodes of [this.#o.inodes, this.#o.base.unsure]) {
      for (let at = 0; at < inodes.length; at += 2) this.#markInode(inodes[at] ?? 0, inodes[at + 1] ?? 0);
    }
  }

  #markInode(low: number, high: number): void {
    const { base, poll } = this.#o;
    poll();
    this.#changed.add(low, high, 0);
    const record = base.recordOf(low, high);
    if (record < 0) return;
    if (this.#view.moveTo(base.file, record).type === DIRECTORY) this.#relisted.add(record);
    for (const name of base.namesOf(record)) this.#marks.add(name);
  }

  #writeAfter(): void {
    const { root, base, after } = this.#o;
    using directories = new DirectoryStack(root.fd);
    const here = this.#view.moveTo(after.file, this.#recorder.recordRoot());
    const there = this.#base.moveTo(base.file, ROOT);
    if (here.inodeLow !== there.inodeLow || here.inodeHigh !== there.inodeHigh) throw new Uncertain('another root');
    const stack = [this.#enter(directories, ROOT)];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (!top.next(this.#view)) {
        stack.pop();
        directories.pop();
      } else if (this.#view.type === DIRECTORY) {
        const { inodeLow: low, inodeHigh: high, name, offset } = this.#view;
        directories.push(name, { low, high });
        stack.push(this.#enter(directories, offset));
      }
    }
  }

  /** Writes what is to be said of the directory whose record is at `directory`, the current one. */
  #enter(directories: DirectoryStack, directory: number): BlockCursor {
    const { base, after } = this.#o;
    const block = beginBlock(after.file, directory);
    const { inodeLow, inodeHigh } = this.#view.moveTo(after.file, directory);
    const record = base.recordOf(inodeLow, inodeHigh);
    const known = record >= 0 && this.#base.moveTo(base.file, record).type === DIRECTORY ? record : NONE;
    let count: number;
    if (known === NONE) count = this.#recordAll(directories);
    else if (this.#relisted.has(known)) count = this.#recordDifferences(directories, known);
    else count = this.#recordMarked(directories, known);
    this.#view.moveTo(after.file, block).setEntryCount(count);
    return new BlockCursor(after.file, directory);
  }

  /** All of a directory that is new. */
  #recordAll(directories: DirectoryStack): number {
    const fd = directories.fd();
    this.#listing.read(fd);
    for (let index = 0; index < this.#listing.count; index += 1) this.#recordNew(directories, fd, index);
    return this.#listing.count;
  }

  #recordDifferences(directories: DirectoryStack, directory: number): number {
    const { base } = this.#o;
    const fd = directories.fd();
    this.#listing.read(fd);
    const cursor = new BlockCursor(base.file, directory);
    let count = 0;
    let hasBase = cursor.next(this.#base);
    for (let index = 0; index < this.#listing.count || hasBase; ) {
      const order = !hasBase ? 1 : index === this.#listing.count ? -1 : this.#compare(index);
      if (order < 0) this.#lose(this.#base);
      else if (order > 0) {
        this.#recordNew(directories, fd, index);
        count += 1;
      } else if (this.#recordKept(directories, fd, index, directory)) count += 1;
      if (order <= 0) hasBase = cursor.next(this.#base);
      if (order >= 0) index += 1;
    }
    return count;
  }

  #compare(index: number): number {
    return this.#base.name.compare(this.#listing.name(index));
  }

  /** The entry of base is not here any more. */
  #lose(base: RecordView): void {
    const { offset, type } = base;
    this.#marks.add(offset);
    if (type === DIRECTORY) this.#gone.push(offset);
  }

  /** A name that was here before. False if nothing is to be said of it. */
  #recordKept(directories: DirectoryStack, fd: number, index: number, directory: number): boolean {
    const { low, high } = this.#listing.inode(index);
    const { inodeLow, inodeHigh, offset } = this.#base;
    if (low !== inodeLow || high !== inodeHigh) {
      this.#lose(this.#base);
      this.#recordNew(directories, fd, index);
      return true;
    }
    if (!this.#marks.has(directory, offset)) return false;
    this.#recordKnown(directories, offset);
    return true;
  }

  /** A name that was not here before. Its inode may have been elsewhere; then that it was moved is in the list. */
  #recordNew(directories: DirectoryStack, fd: number, index: number): void {
    const { low, high } = this.#listing.inode(index);
    const name = this.#listing.name(index);
    const isKnown = this.#o.base.recordOf(low, high) >= 0;
    if (isKnown && this.#changed.find(low, high) < 0) throw new Uncertain(`${directories.show(name)} came unnoticed`);
    this.#recorder.record(fd, name, name.subarray(0, -1), directories);
  }

  /** What is marked in a directory whose names are as they were. */
  #recordMarked(directories: DirectoryStack, directory: number): number {
    const marked = this.#marks.of(directory);
    for (const entry of marked) this.#recordKnown(directories, entry);
    return marked.length;
  }

  /** An entry of base that is still here: looked at anew, unless it only leads to something. */
  #recordKnown(directories: DirectoryStack, entry: number): void {
    const { base, after, poll } = this.#o;
    poll();
    const known = new RecordView().moveTo(base.file, entry);
    const { inodeLow, inodeHigh } = known;
    if (this.#changed.find(inodeLow, inodeHigh) < 0) {
      copyRecord(after, known, known);
      return;
    }
    const name = Buffer.from(known.name);
    const offset = after.file.size;
    this.#recorder.record(directories.fd(), name, name.subarray(0, -1), directories);
    moveToRecord(this.#view, after.file, offset);
    if (this.#view.inodeLow !== inodeLow || this.#view.inodeHigh !== inodeHigh) {
      throw new Uncertain(`${directories.show(name)} was replaced unnoticed`);
    }
  }

  #isInAfter(directory: RecordView): boolean {
    const { index, file } = this.#o.after;
    const slot = index.find(directory.inodeLow, directory.inodeHigh);
    return slot >= 0 && new RecordView().moveTo(file, index.offsetAt(slot)).type === DIRECTORY;
  }

  #writeBefore(): void {
    const { base, before } = this.#o;
    const first = new RecordView();
    copyRecord(before, this.#base.moveTo(base.file, ROOT), this.#base);
    const stack = [{ base: ROOT, copy: ROOT }];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const block = beginBlock(before.file, top.copy);
      const marked = this.#marks.of(top.base);
      for (const entry of marked) {
        this.#base.moveTo(base.file, entry);
        first.moveTo(base.file, base.recordOf(this.#base.inodeLow, this.#base.inodeHigh));
        const copy = copyRecord(before, this.#base, first);
        if (this.#base.type === DIRECTORY) stack.push({ base: entry, copy });
      }
      this.#view.moveTo(before.file, block).setEntryCount(marked.length);
    }
  }
}
