import { createHash } from 'node:crypto';
import { ftruncateSync } from 'node:fs';
import { CargoError } from '../../api/cargo-error.ts';
import type { CString } from '../../linux/libc.ts';
import { makeDirectoryAt, removeDirectoryAt, symlinkAt, unlinkAt } from '../../linux/names.ts';
import { makeNodeAt } from '../../linux/nodes.ts';
import { Stat } from '../../linux/stat.ts';
import { setMtime } from '../../linux/times.ts';
import { type BegunEntry, beginByName, beginDirectory, createFile, openFile } from './begun-entry.ts';
import type { BlockHash } from './block-hash.ts';
import { DirectoryStack } from './directory-stack.ts';
import { withPath } from './error-path.ts';
import { FileWriter } from './file-writer.ts';
import { nodeFormat } from './node-format.ts';
import { OpReader, violation } from './op-reader.ts';
import type { OpTotals } from './op-writer.ts';
import type { OpenRoot } from './open-root.ts';
import { ops } from './ops.ts';
import { despiteProtection } from './protection.ts';
import type { Stash } from './stash.ts';

/** Carries ops out on the receiver's tree. All acts are on single names relative to directory descriptors. */
export class Applier implements Disposable {
  readonly #root: OpenRoot;
  readonly #stash: Stash;
  readonly #hash: BlockHash;
  readonly #directories: DirectoryStack;
  readonly #digest = createHash('sha256');
  readonly #report: (done: { filesDone: number; bytesDone: number }) => void;
  #begun: BegunEntry | null = null;
  #file: FileWriter | null = null;
  readonly totals: OpTotals = { files: 0, deleted: 0, bytes: 0 };
  entriesAdded = 0;

  constructor(
    { root, stash, hash }: { root: OpenRoot; stash: Stash; hash: BlockHash },
    report: (done: { filesDone: number; bytesDone: number }) => void,
  ) {
    this.#root = root;
    this.#stash = stash;
    this.#hash = hash;
    this.#report = report;
    this.#directories = new DirectoryStack(root.fd);
  }

  apply(opBytes: Buffer, data: Buffer, poll: () => void): void {
    this.#digest.update(opBytes);
    const reader = new OpReader(opBytes, data);
    while (!reader.isAtEnd) {
      poll();
      this.#applyOne(reader.u8(), reader);
    }
    reader.finish();
  }

  digest(): string {
    return this.#digest.digest('hex');
  }

  /** After the last op. Emptying the stash, where it is below the root, must not show in the root's mtime. */
  finish(): void {
    if (this.#begun !== null || this.#directories.depth !== 0) throw violation('the operations end in the middle');
    const root = new Stat().readFd(this.#root.fd);
    this.#stash.finish();
    const { fd } = this.#root;
    despiteProtection([{ dirfd: fd }], () => setMtime(fd, root.mtimeSeconds, root.mtimeNanoseconds));
  }

  [Symbol.dispose](): void {
    this.#begun?.close();
    this.#directories[Symbol.dispose]();
  }

  #applyOne(code: number, reader: OpReader): void {
    if (this.#begun !== null && !partsOfEntry.has(code)) throw violation('an entry is not ended');
    const act = this.#acts.get(code);
    if (act === undefined) throw violation('an operation is unknown');
    act(reader);
  }

  readonly #acts = new Map<number, (reader: OpReader) => void>([
    [ops.enter, (reader) => this.#directories.push(reader.entryName(), null)],
    [ops.leave, () => this.#leave()],
    [ops.unlink, (reader) => this.#remove(reader, unlinkAt)],
    [ops.rmdir, (reader) => this.#remove(reader, removeDirectoryAt)],
    [ops.stash, (reader) => this.#intoStash(reader)],
    [ops.anchor, (reader) => this.#named(reader, (dirfd, name) => this.#stash.anchor(dirfd, name, reader.u32()))],
    [ops.take, (reader) => this.#fromStash(reader, (id, dirfd, name) => this.#stash.take(id, dirfd, name))],
    [ops.link, (reader) => this.#fromStash(reader, (id, dirfd, name) => this.#stash.link(id, dirfd, name))],
    [ops.mkdir, (reader) => this.#makeDirectory(reader)],
    [ops.small, (reader) => this.#named(reader, (dirfd, name) => this.#small(dirfd, name, reader))],
    [ops.file, (reader) => this.#named(reader, (dirfd, name) => this.#beginFile(dirfd, name, reader))],
    [ops.symlink, (reader) => this.#named(reader, (dirfd, name) => this.#beginSymlink(dirfd, name, reader))],
    [ops.node, (reader) => this.#named(reader, (dirfd, name) => this.#beginNode(dirfd, name, reader))],
    [ops.touch, (reader) => this.#named(reader, (dirfd, name) => this.#beginTouch(dirfd, name, reader))],
    [ops.dir, (reader) => this.#beginDirectory(reader)],
    [ops.xattr, (reader) => this.#setAttribute(reader)],
    [ops.done, (reader) => this.#end(reader)],
    [ops.data, (reader) => this.#data(reader)],
    [ops.zero, (reader) => this.#openFile().zero(reader)],
    [ops.hole, (reader) => this.#openFile().hole(reader)],
    [ops.progress, (reader) => this.#report({ filesDone: reader.u32(), bytesDone: reader.u64() })],
  ]);

  #leave(): void {
    if (this.#directories.depth === 0) throw violation('it leaves the root');
    this.#directories.pop();
  }

  #setAttribute(reader: OpReader): void {
    if (this.#begun === null) throw violation('an attribute belongs to nothing');
    const name = reader.attributeName();
    this.#begun.setAttribute(name, reader.data(reader.u32()));
  }

  #end(reader: OpReader): void {
    if (this.#begun === null) throw violation('an entry is ended twice');
    this.#begun.finish(reader.u8() === 1);
    this.#begun = null;
    this.#file = null;
  }

  #openFile(): FileWriter {
    if (this.#file === null) throw violation('data belong to no file');
    return this.#file;
  }

  #data(reader: OpReader): void {
    this.totals.bytes += this.#openFile().data(reader, this.#hash);
  }

  #makeDirectory(reader: OpReader): void {
    this.#named(reader, (dirfd, name) => despiteProtection([{ dirfd }], () => makeDirectoryAt(dirfd, name, 0o700)));
    this.totals.files += 1;
    this.entriesAdded += 1;
  }

  #remove(reader: OpReader, remove: (dirfd: number, name: CString) => void): void {
    this.#named(reader, (dirfd, name) => despiteProtection([{ dirfd }, { dirfd, name }], () => remove(dirfd, name)));
    this.totals.deleted += 1;
    this.entriesAdded -= 1;
  }

  #intoStash(reader: OpReader): void {
    this.#named(reader, (dirfd, name) => this.#stash.put(dirfd, name, reader.u32()));
    this.entriesAdded -= 1;
  }

  #fromStash(reader: OpReader, place: (id: number, dirfd: number, name: CString) => void): void {
    this.#named(reader, (dirfd, name) => place(reader.u32(), dirfd, name));
    this.totals.files += 1;
    this.entriesAdded += 1;
  }

  #small(dirfd: number, name: CString, reader: OpReader): void {
    const metadata = reader.metadata();
    const hash = reader.hash();
    const bytes = reader.data(reader.u32());
    if (!this.#hash.of(bytes).equals(hash)) throw corrupt(this.#show(name));
    const entry = createFile(dirfd, name, metadata);
    this.#begin(entry, 1);
    if (bytes.length > 0) new FileWriter(entry.fd, bytes.length, true, this.#show(name)).write(bytes, 0);
    entry.finish(true);
    this.#begun = null;
    this.totals.bytes += bytes.length;
  }

  #beginFile(dirfd: number, name: CString, reader: OpReader): void {
    const metadata = reader.metadata();
    const isNew = reader.u8() === 1;
    const size = reader.u64();
    const entry = isNew ? createFile(dirfd, name, metadata) : openFile(dirfd, name, metadata);
    this.#begin(entry, isNew ? 1 : 0);
    ftruncateSync(entry.fd, size);
    this.#file = new FileWriter(entry.fd, size, isNew, this.#show(name));
  }

  #beginNode(dirfd: number, name: CString, reader: OpReader): void {
    const metadata = reader.metadata();
    const format = nodeFormat(reader.u8());
    if (format === null) throw violation('a node has no type');
    const [major, minor] = [reader.u32(), reader.u32()];
    despiteProtection([{ dirfd }], () => makeNodeAt(dirfd, name, format | 0o600, major, minor));
    this.#begin(beginByName(dirfd, name, metadata), 1);
  }

  #beginSymlink(dirfd: number, name: CString, reader: OpReader): void {
    const metadata = reader.metadata();
    const target = reader.symlinkTarget();
    despiteProtection([{ dirfd }], () => symlinkAt(target, dirfd, name));
    this.#begin(beginByName(dirfd, name, metadata), 1);
  }

  #beginTouch(dirfd: number, name: CString, reader: OpReader): void {
    this.#begin(beginByName(dirfd, name, reader.metadata()), 0);
  }

  #beginDirectory(reader: OpReader): void {
    this.#begun = beginDirectory(this.#directories.fd(), reader.metadata());
  }

  #begin(entry: BegunEntry, added: number): void {
    this.#begun = entry;
    this.totals.files += 1;
    this.entriesAdded += added;
  }

  /** An op on a name of the current directory; a failed system call is told with the entry's whole path. */
  #named(reader: OpReader, act: (dirfd: number, name: CString) => void): void {
    const wireName = reader.entryName();
    const depth = this.#directories.depth;
    if (this.#stash.isOwnName(depth, wireName)) throw violation('an entry has the name of the stash');
    const name = this.#root.localName(depth, wireName);
    try {
      act(this.#directories.fd(), name);
    } catch (error) {
      throw withPath(error, this.#show(name));
    }
  }

  #show(name: CString): string {
    return this.#root.only === null ? `${this.#root.path}/${this.#directories.show(name)}` : this.#root.path;
  }
}

const partsOfEntry = new Set<number>([ops.data, ops.zero, ops.hole, ops.xattr, ops.done, ops.progress]);

function corrupt(path: string): CargoError {
  return new CargoError('CHECKSUM_MISMATCH', `The data of ${path} arrived damaged; nothing of it was written.`);
}
