import { isErrno } from '../../linux/libc.ts';
import { close } from '../../linux/open.ts';
import { Stat } from '../../linux/stat.ts';
import { BlockCursor } from './block-cursor.ts';
import type { BlockHash } from './block-hash.ts';
import { ContentRecorder } from './content-recorder.ts';
import { DirectoryStack } from './directory-stack.ts';
import { readContent } from './file-content.ts';
import { BLOCK_BYTES, DIRECTORY, FILE } from './format.ts';
import type { NewManifest } from './manifest.ts';
import type { OpenRoot } from './open-root.ts';
import { FOREIGN, LINK, RecordView, STALE } from './record.ts';
import { walkDirectories } from './tree.ts';
import { entryPath, openRecorded } from './tree-entry.ts';
import { XattrReader } from './xattr-reader.ts';

export type TreeHasherOptions = {
  root: OpenRoot;
  manifest: NewManifest;
  hash: BlockHash;
  poll: () => void;
  onChange: (path: string) => void;
  /** Entries for which it holds are not read but marked STALE, and so is what changes or vanishes under the hasher. */
  changedSince?: (record: RecordView) => boolean;
};

/** Completes the manifest of a scanned tree with block hashes and digests of attributes. */
export class TreeHasher {
  readonly #o: TreeHasherOptions;
  readonly #directories: DirectoryStack;
  readonly #xattrs = new XattrReader();
  readonly #stat = new Stat();
  readonly #scratch = Buffer.alloc(BLOCK_BYTES);
  /** Names seen of inodes with several, by slot of the index. */
  readonly #names = new Map<number, number>();

  constructor(options: TreeHasherOptions) {
    this.#o = options;
    this.#directories = new DirectoryStack(options.root.fd);
  }

  run(): void {
    using _ = this.#directories;
    const { file } = this.#o.manifest.tree;
    const view = new RecordView();
    walkDirectories(file, {
      enter: (offset) => this.#enter(view.moveTo(file, offset)),
      leave: () => this.#directories.pop(),
    });
    this.#markForeign();
  }

  #enter(directory: RecordView): void {
    const { file } = this.#o.manifest.tree;
    const isRoot = directory.nameLength === 0;
    if (!isRoot) this.#directories.push(directory.name, { low: directory.inodeLow, high: directory.inodeHigh });
    if (!isRoot || this.#o.root.only === null) this.#settle(directory, () => this.#hashDirectory(directory));
    const entry = new RecordView();
    for (const cursor = new BlockCursor(file, directory.offset); cursor.next(entry); ) {
      this.#o.poll();
      if (entry.type !== DIRECTORY) this.#hashEntry(entry);
    }
  }

  /** Does the work, which reads one entry. In a tree that may be changed by others, what changes is marked. */
  #settle(entry: RecordView, work: () => void): void {
    const { changedSince } = this.#o;
    let isSettled = false;
    try {
      isSettled = changedSince?.(entry) !== true;
      if (isSettled) work();
    } catch (error) {
      if (changedSince === undefined || !isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE')) throw error;
      isSettled = false;
    }
    if (!isSettled) entry.setFlags(entry.flags | STALE);
  }

  #hashDirectory(directory: RecordView): void {
    const fd = this.#directories.fd();
    directory.setXattrDigest(this.#xattrs.digest(fd));
    this.#markIfChanged(fd, directory);
  }

  #markIfChanged(fd: number, entry: RecordView): void {
    if (this.#o.changedSince === undefined) return;
    const { ctimeSeconds, ctimeNanoseconds } = this.#stat.readFd(fd);
    const isSame = ctimeSeconds === entry.ctimeSeconds && ctimeNanoseconds === entry.ctimeNanoseconds;
    if (!isSame) entry.setFlags(entry.flags | STALE);
  }

  #hashEntry(entry: RecordView): void {
    const { index } = this.#o.manifest.tree;
    if (entry.nlink > 1) {
      const slot = index.find(entry.inodeLow, entry.inodeHigh);
      this.#names.set(slot, (this.#names.get(slot) ?? 0) + 1);
    }
    if (!entry.has(LINK)) this.#settle(entry, () => this.#hashInode(entry));
  }

  #hashInode(entry: RecordView): void {
    const dirfd = this.#directories.fd();
    const name = this.#o.root.localName(this.#directories.depth, entry.name);
    if (entry.type === FILE) this.#hashFile(dirfd, name, entry);
    else entry.setXattrDigest(this.#xattrs.digest(entryPath(dirfd, name)));
  }

  #hashFile(dirfd: number, name: Uint8Array, entry: RecordView): void {
    const fd = openRecorded(dirfd, name, entry);
    if (fd === null) {
      this.#o.onChange(this.#directories.show(name));
      if (this.#o.changedSince !== undefined) entry.setFlags(entry.flags | STALE);
      return;
    }
    try {
      const recorder = new ContentRecorder(entry, this.#o.manifest.blocks);
      const isComplete = readContent({ fd, size: entry.size, allocatedBytes: entry.allocatedBytes }, this.#o.hash, {
        room: (length) => this.#scratch.subarray(0, length),
        block: (_offset, _bytes, hash, pageBits) => {
          this.#o.poll();
          recorder.block(hash, pageBits);
        },
        holes: (_offset, length) => recorder.holes(length),
      });
      recorder.end();
      if (!isComplete) this.#o.onChange(this.#directories.show(name));
      entry.setXattrDigest(this.#xattrs.digest(fd, entry));
      this.#markIfChanged(fd, entry);
    } finally {
      close(fd);
    }
  }

  /** An inode with names outside the tree must not be written to: it would change there too. */
  #markForeign(): void {
    const { file, index } = this.#o.manifest.tree;
    const foreign = new Set<number>();
    const view = new RecordView();
    for (const [slot, names] of this.#names) {
      view.moveTo(file, index.offsetAt(slot));
      if (view.nlink !== names) foreign.add(slot);
    }
    if (foreign.size === 0) return;
    const entry = new RecordView();
    walkDirectories(file, {
      enter: (directory) => {
        for (const cursor = new BlockCursor(file, directory); cursor.next(entry); ) {
          if (entry.type === DIRECTORY || entry.nlink === 1) continue;
          if (foreign.has(index.find(entry.inodeLow, entry.inodeHigh))) entry.setFlags(entry.flags | FOREIGN);
        }
      },
      leave: () => {},
    });
  }
}
