import { close } from '../../linux/open.ts';
import { BlockCursor } from './block-cursor.ts';
import { ContentRecorder } from './content-recorder.ts';
import { DirectoryStack } from './directory-stack.ts';
import { readContent } from './file-content.ts';
import { BLOCK_BYTES, DIRECTORY, FILE } from './format.ts';
import type { NewManifest } from './manifest.ts';
import type { OpenRoot } from './open-root.ts';
import { FOREIGN, LINK, RecordView } from './record.ts';
import { walkDirectories } from './tree.ts';
import { entryPath, openRecorded } from './tree-entry.ts';
import { XattrReader } from './xattr-reader.ts';

export type TreeHasherOptions = {
  root: OpenRoot;
  manifest: NewManifest;
  poll: () => void;
  onChange: (path: string) => void;
};

/** Completes the manifest of a scanned tree with block hashes and digests of attributes. */
export class TreeHasher {
  readonly #o: TreeHasherOptions;
  readonly #directories: DirectoryStack;
  readonly #xattrs = new XattrReader();
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
    if (!isRoot || this.#o.root.only === null) directory.setXattrDigest(this.#xattrs.digest(this.#directories.fd()));
    const entry = new RecordView();
    for (const cursor = new BlockCursor(file, directory.offset); cursor.next(entry); ) {
      this.#o.poll();
      if (entry.type !== DIRECTORY) this.#hashEntry(entry);
    }
  }

  #hashEntry(entry: RecordView): void {
    const { index } = this.#o.manifest.tree;
    if (entry.nlink > 1) {
      const slot = index.find(entry.inodeLow, entry.inodeHigh);
      this.#names.set(slot, (this.#names.get(slot) ?? 0) + 1);
    }
    if (entry.has(LINK)) return;
    const dirfd = this.#directories.fd();
    const name = this.#o.root.localName(this.#directories.depth, entry.name);
    if (entry.type === FILE) this.#hashFile(dirfd, name, entry);
    else entry.setXattrDigest(this.#xattrs.digest(entryPath(dirfd, name)));
  }

  #hashFile(dirfd: number, name: Uint8Array, entry: RecordView): void {
    const fd = openRecorded(dirfd, name, entry);
    if (fd === null) {
      this.#o.onChange(this.#directories.show(name));
      return;
    }
    try {
      const recorder = new ContentRecorder(entry, this.#o.manifest.blocks);
      const isComplete = readContent(fd, entry.size, entry.allocatedBytes, {
        room: (length) => this.#scratch.subarray(0, length),
        block: (_offset, _bytes, hash, pageBits) => {
          this.#o.poll();
          recorder.block(hash, pageBits);
        },
        holes: (_offset, length) => recorder.holes(length),
      });
      recorder.end();
      if (!isComplete) this.#o.onChange(this.#directories.show(name));
      entry.setXattrDigest(this.#xattrs.digest(fd));
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
