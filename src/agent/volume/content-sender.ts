import { type CString, isErrno } from '../../linux/libc.ts';
import { close } from '../../linux/open.ts';
import type { XattrHolder } from '../../linux/xattr.ts';
import type { BlockHash } from './block-hash.ts';
import type { BlockListReader } from './block-list.ts';
import { ADDED, ADDED_AGAIN, type Comparison, type DirectoryPair, NONE, TOUCHED } from './comparison.ts';
import { DirectoryStack } from './directory-stack.ts';
import { FileSender, isOutlined } from './file-sender.ts';
import { FilesAhead } from './files-ahead.ts';
import { DIRECTORY, FILE, SYMLINK } from './format.ts';
import type { NewManifest } from './manifest.ts';
import type { OpWriter } from './op-writer.ts';
import type { OpenRoot } from './open-root.ts';
import { ops } from './ops.ts';
import { LINK, RecordView, STALE } from './record.ts';
import type { StructureSender } from './structure-sender.ts';
import { entryPath, openRecorded } from './tree-entry.ts';
import { noXattrs, XattrReader } from './xattr-reader.ts';

export type ContentOptions = {
  root: OpenRoot;
  comparison: Comparison;
  manifest: NewManifest;
  hash: BlockHash;
  earlierBlocks: BlockListReader;
  writer: OpWriter;
  /** Makes directories on the way, where step 2 did not run by itself. */
  structure: StructureSender | null;
  contentLimit: number;
  /** performance.now() until which content travels whatever the limit says. */
  wholeUntil: number;
  /** Records of files whose content travels in any case. */
  fresh: ReadonlySet<number>;
  poll: () => void;
  onChange: (path: string) => void;
};

/**
 * Step 3 of a comparison: contents and metadata. It completes the new manifest, so that it says of every inode what the
 * receiver has when the ops are applied, also of those that changed or vanished since the scan.
 */
export class ContentSender {
  readonly #o: ContentOptions;
  readonly #directories: DirectoryStack;
  readonly #xattrs = new XattrReader();
  readonly #files: FileSender;
  readonly #partner = new RecordView();
  readonly #partnerAhead = new RecordView();

  constructor(options: ContentOptions) {
    this.#o = options;
    this.#directories = new DirectoryStack(options.root.fd);
    const { manifest, hash, earlierBlocks, writer, contentLimit, wholeUntil, fresh, poll } = options;
    const limits = { contentLimit, wholeUntil, fresh };
    this.#files = new FileSender({ manifest, hash, earlierBlocks, writer, xattrs: this.#xattrs, ...limits, poll });
  }

  run(): void {
    using _ = this.#directories;
    this.#o.comparison.walkAfter({ enter: (pair) => this.#enter(pair), leave: (pair) => this.#leave(pair) });
  }

  #enter(pair: DirectoryPair): void {
    const { comparison, writer } = this.#o;
    const view = comparison.viewAfter(pair.after);
    if (view.nameLength > 0) {
      writer.enter(view.name);
      this.#directories.push(view.name, { low: view.inodeLow, high: view.inodeHigh });
    }
    const slot = comparison.slotAfter(view);
    this.#o.structure?.placeEntries(pair);
    using ahead = new FilesAhead(comparison.after.file, pair.after, (record) => this.#openAhead(record));
    comparison.mergeEntries(pair, (before, after) => {
      this.#o.poll();
      if (after === null || after.type === DIRECTORY) return;
      if (this.#sendEntry(after, comparison.isKept(before, after), ahead)) comparison.after.index.mark(slot, TOUCHED);
    });
  }

  #openAhead(record: RecordView): number | null {
    if (record.type !== FILE || record.has(LINK) || isOutlined(record, this.#o)) return null;
    const before = this.#before(record, this.#partnerAhead);
    return before !== null && this.#o.comparison.isUnchanged(before, record) ? null : this.#open(record);
  }

  /** What the receiver has of this inode, in `view`. */
  #before(after: RecordView, view: RecordView): RecordView | null {
    const { comparison } = this.#o;
    const partner = comparison.partnerOf(comparison.slotAfter(after));
    return partner === NONE ? null : view.moveTo(comparison.before.file, partner);
  }

  /** True if a name came into the directory. */
  #sendEntry(after: RecordView, isKept: boolean, ahead: FilesAhead): boolean {
    const { comparison, writer } = this.#o;
    const slot = comparison.slotAfter(after);
    if (after.has(LINK)) {
      if (isKept || comparison.partnerOf(slot) !== NONE) return false;
      writer.stashed(ops.link, after.name, slot);
      return true;
    }
    const before = this.#before(after, this.#partner);
    if (after.type === FILE) this.#sendFile(after, before, ahead);
    else this.#sendOther(after, before);
    if (before !== null) return false;
    const marks = comparison.after.index.marksOf(slot);
    if ((marks & ADDED) !== 0 && (marks & ADDED_AGAIN) !== 0) writer.stashed(ops.anchor, after.name, slot);
    return true;
  }

  #sendFile(after: RecordView, before: RecordView | null, ahead: FilesAhead): void {
    const { comparison, manifest, earlierBlocks } = this.#o;
    if (before !== null && comparison.isUnchanged(before, after)) {
      manifest.keepContent(after, before, earlierBlocks);
      return;
    }
    const fd = ahead.take(after) ?? this.#open(after);
    if (fd === null) {
      this.#o.onChange(this.#show(after));
      this.#files.sendVanished(after, before);
      return;
    }
    try {
      const wasQuiet = this.#files.send(fd, after, before);
      if (!wasQuiet) this.#o.onChange(this.#show(after));
    } finally {
      close(fd);
    }
  }

  #open(after: RecordView): number | null {
    const dirfd = this.#dirfd();
    return dirfd === null ? null : openRecorded(dirfd, this.#localName(after), after);
  }

  #sendOther(after: RecordView, before: RecordView | null): void {
    const { comparison, writer } = this.#o;
    const isSettled = before !== null && comparison.isUnchanged(before, after);
    const dirfd = isSettled ? null : this.#dirfd();
    const holder = dirfd === null ? null : entryPath(dirfd, this.#localName(after));
    const hasAttributes = this.#recordXattrs(after, before, isSettled, holder);
    if (isSettled) return;
    writer.progress.filesDone += 1;
    const xattrsDiffer = before === null || !before.xattrDigest.equals(after.xattrDigest);
    if (before === null) this.#beginNew(after);
    else if (xattrsDiffer || before.has(STALE) || !before.hasSameMetadata(after)) writer.beginTouch(after.name, after);
    else return;
    if (xattrsDiffer && hasAttributes && holder !== null) this.#sendXattrs(after, holder);
    writer.done(xattrsDiffer);
  }

  #beginNew(after: RecordView): void {
    const { writer } = this.#o;
    if (after.type === SYMLINK) writer.beginSymlink(after.name, after, after.target);
    else writer.beginNode(after.name, after, after.type, after.deviceMajor, after.deviceMinor);
  }

  #leave(pair: DirectoryPair): void {
    const { comparison, writer, root } = this.#o;
    const after = comparison.viewAfter(pair.after);
    const isRoot = after.nameLength === 0;
    if (!isRoot || root.only === null) {
      const before = pair.before === NONE ? null : comparison.viewBefore(pair.before);
      this.#sendDirectory(after, before);
    }
    if (isRoot) return;
    writer.leave();
    this.#directories.pop();
  }

  #sendDirectory(after: RecordView, before: RecordView | null): void {
    const { comparison, writer } = this.#o;
    const isSettled = before !== null && comparison.isUnchanged(before, after);
    const holder = isSettled ? null : this.#dirfd();
    const hasAttributes = this.#recordXattrs(after, before, isSettled, holder);
    const isTouched = (comparison.after.index.marksOf(comparison.slotAfter(after)) & TOUCHED) !== 0;
    const xattrsDiffer = before === null || !before.xattrDigest.equals(after.xattrDigest);
    const isSame = before !== null && !before.has(STALE) && before.hasSameMetadata(after);
    if (isSame && !isTouched && !xattrsDiffer) return;
    writer.beginDirectory(after);
    if (xattrsDiffer && hasAttributes && holder !== null) this.#sendXattrs(after, holder);
    writer.done(xattrsDiffer);
  }

  /** Completes the record with the digest of the attributes; true if there are any to send. */
  #recordXattrs(after: RecordView, before: RecordView | null, isSettled: boolean, holder: XattrHolder | null): boolean {
    if (isSettled || holder === null) {
      after.setXattrDigest(before?.xattrDigest ?? noXattrs);
      if (!isSettled) this.#markStale(after);
      return false;
    }
    try {
      const digest = this.#xattrs.digest(holder);
      after.setXattrDigest(digest);
      return digest !== noXattrs;
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE')) throw error;
      after.setXattrDigest(before?.xattrDigest ?? noXattrs);
      this.#markStale(after);
      return false;
    }
  }

  #sendXattrs(after: RecordView, holder: XattrHolder): void {
    try {
      this.#xattrs.forEach(holder, null, (name, value) => this.#o.writer.xattr(name, value));
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE')) throw error;
      this.#markStale(after);
    }
  }

  #markStale(after: RecordView): void {
    this.#o.onChange(this.#show(after));
    after.setFlags(after.flags | STALE);
  }

  /** The current directory, or null if it is gone. */
  #dirfd(): number | null {
    try {
      return this.#directories.fd();
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE')) return null;
      throw error;
    }
  }

  #localName(record: RecordView): CString {
    return this.#o.root.localName(this.#directories.depth, record.name);
  }

  #show(record: RecordView): string {
    return this.#directories.show(record.type === DIRECTORY ? undefined : this.#localName(record));
  }
}
