import { CargoError } from '../../api/cargo-error.ts';
import { type CString, cstring, isErrno } from '../../linux/libc.ts';
import { readLinkAt } from '../../linux/names.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, Stat } from '../../linux/stat.ts';
import { BlockCursor } from './block-cursor.ts';
import { DirectoryStack } from './directory-stack.ts';
import { BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, SOCKET, SYMLINK } from './format.ts';
import type { InodeIndex } from './inode-index.ts';
import { Listing } from './listing.ts';
import { ONLY_FILE, type OpenRoot } from './open-root.ts';
import type { PagedFile } from './paged-file.ts';
import { appendRecord, BLOCK, LINK, RACY, RecordView } from './record.ts';
import type { TreeSize } from './worker-messages.ts';

/** Longer than a kernel tick (10 ms at HZ=100), with room for a clock that is slewed. */
const RACY_MS = 50;
const PATH_MAX = 4096;
const NOTHING = new Uint8Array(0);

const types = new Map([
  [S_IFREG, FILE],
  [S_IFDIR, DIRECTORY],
  [S_IFLNK, SYMLINK],
  [S_IFIFO, FIFO],
  [S_IFSOCK, SOCKET],
  [S_IFCHR, CHARACTER_DEVICE],
  [S_IFBLK, BLOCK_DEVICE],
]);

export type ScanOptions = {
  root: OpenRoot;
  file: PagedFile;
  index: InodeIndex;
  /** Called for each entry: throws to end the scan. */
  poll: () => void;
  /** Called when the tree changes under the scan: the entry is left out, as if it weren't there. */
  onChange: (path: string) => void;
};

/** A file was changed so recently, seen from now, that another change might get the same ctime. */
export function isRacy(stat: Stat): boolean {
  return stat.ctimeSeconds * 1000 + stat.ctimeNanoseconds / 1e6 >= Date.now() - RACY_MS;
}

/**
 * Writes the tree below a root into an empty tree file, entries without their contents. Every inode is recorded once
 * and further names of it as LINK: also where a live tree shows a moved file twice, so one number is one inode.
 */
export function scanTree(options: ScanOptions): TreeSize {
  return new Scanner(options).run();
}

class Scanner {
  readonly #o: ScanOptions;
  readonly #stat = new Stat();
  readonly #view = new RecordView();
  readonly #listing = new Listing();
  readonly #target = Buffer.alloc(PATH_MAX);
  readonly #size: TreeSize = { files: 0, bytes: 0, changedAtMs: 0 };
  #device = '';

  constructor(options: ScanOptions) {
    this.#o = options;
  }

  run(): TreeSize {
    using directories = new DirectoryStack(this.#o.root.fd);
    const stack = [this.#scanRoot(directories)];
    while (stack.length > 0) {
      const cursor = stack.at(-1);
      if (cursor?.next(this.#view)) {
        if (this.#view.type === DIRECTORY) stack.push(this.#descend(directories));
      } else {
        stack.pop();
        directories.pop();
      }
    }
    return this.#size;
  }

  #scanRoot(directories: DirectoryStack): BlockCursor {
    const { root, file, index } = this.#o;
    this.#stat.readFd(root.fd);
    this.#device = deviceOf(this.#stat);
    this.#noteChange();
    const record = { type: DIRECTORY, flags: 0, name: NOTHING, target: NOTHING };
    const offset = appendRecord(file, record, this.#stat);
    index.add(this.#stat.inodeLow, this.#stat.inodeHigh, offset);
    return this.#scanDirectory(directories, offset);
  }

  /** Into the directory that the view is on. */
  #descend(directories: DirectoryStack): BlockCursor {
    const { inodeLow: low, inodeHigh: high } = this.#view;
    directories.push(this.#view.name, { low, high });
    return this.#scanDirectory(directories, this.#view.offset);
  }

  #scanDirectory(directories: DirectoryStack, directory: number): BlockCursor {
    const { root, file } = this.#o;
    this.#view.moveTo(file, directory);
    const { inodeLow: low, inodeHigh: high } = this.#view;
    const blockOffset = appendBlock(file, low, high);
    this.#view.moveTo(file, directory).setReference(blockOffset);
    const isOnlyFile = directories.depth === 0 && root.only !== null;
    const count = isOnlyFile ? this.#scanOnlyFile(directories) : this.#scanEntries(directories);
    this.#view.moveTo(file, blockOffset).setEntryCount(count);
    this.#size.files += count;
    return new BlockCursor(file, directory);
  }

  #scanEntries(directories: DirectoryStack): number {
    let fd: number;
    try {
      fd = directories.fd();
      this.#listing.read(fd);
    } catch (error) {
      this.#changed(error, directories.show());
      return 0;
    }
    let count = 0;
    for (let index = 0; index < this.#listing.count; index += 1) {
      this.#o.poll();
      const name = this.#listing.name(index);
      if (this.#scanEntry(fd, name, name.subarray(0, -1), directories)) count += 1;
    }
    return count;
  }

  #scanOnlyFile(directories: DirectoryStack): number {
    const local = this.#o.root.only ?? NOTHING;
    if (!exists(this.#o.root.fd, local)) return 0;
    return this.#scanEntry(this.#o.root.fd, local, ONLY_FILE.subarray(0, -1), directories) ? 1 : 0;
  }

  /** False if the entry is left out. */
  #scanEntry(dirfd: number, local: CString, name: Uint8Array, directories: DirectoryStack): boolean {
    const { file, index } = this.#o;
    const stat = this.#stat;
    try {
      stat.readAt(dirfd, local);
      this.#noteChange();
      const type = types.get(stat.format) ?? 0;
      const target = type === SYMLINK ? this.#target.subarray(0, readLinkAt(dirfd, local, this.#target)) : NOTHING;
      this.#refuseMount(directories, local);
      const slot = index.find(stat.inodeLow, stat.inodeHigh);
      if (slot >= 0) return this.#scanAgain(index.offsetAt(slot), { type, flags: LINK, name, target }, directories);
      const offset = appendRecord(file, { type, flags: isRacy(stat) ? RACY : 0, name, target }, stat);
      index.add(stat.inodeLow, stat.inodeHigh, offset);
      if (type === FILE) this.#size.bytes += stat.blocks * 512;
      return true;
    } catch (error) {
      this.#changed(error, directories.show(local));
      return false;
    }
  }

  /** A second name of an inode: a hard link, or in a live tree something moved, or a number used again. */
  #scanAgain(
    first: number,
    record: { type: number; flags: number; name: Uint8Array; target: Uint8Array },
    directories: DirectoryStack,
  ): boolean {
    const seen = new RecordView().moveTo(this.#o.file, first);
    const isSame =
      record.type === seen.type && record.type !== DIRECTORY && seen.target.subarray(0, -1).equals(record.target);
    if (isSame) appendRecord(this.#o.file, record, this.#stat);
    else this.#o.onChange(directories.show(cstring(record.name)));
    return isSame;
  }

  #noteChange(): void {
    const changedAtMs = this.#stat.ctimeSeconds * 1000 + this.#stat.ctimeNanoseconds / 1e6;
    if (changedAtMs > this.#size.changedAtMs) this.#size.changedAtMs = changedAtMs;
  }

  #refuseMount(directories: DirectoryStack, local: CString): void {
    const isRootItself = directories.depth === 0 && this.#o.root.only !== null;
    // Files of an overlay show the device of their layer, which is not that of the overlay's directories.
    const isElsewhere = types.get(this.#stat.format) === DIRECTORY && deviceOf(this.#stat) !== this.#device;
    if (isRootItself || (!this.#stat.isMountRoot && !isElsewhere)) return;
    const place = `${this.#o.root.path}/${directories.show(local)}`;
    throw new CargoError(
      'BLOCKED',
      `Another file system is mounted at ${place}: Cargo copies one file system per volume. Unmount it, or declare it as a mount of its own.`,
    );
  }

  /** Passes over what only means that somebody else works in the tree. */
  #changed(error: unknown, path: string): void {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EINVAL', 'ESTALE')) throw error;
    this.#o.onChange(path);
  }
}

function appendBlock(file: PagedFile, low: number, high: number): number {
  const offset = appendRecord(file, { type: BLOCK, flags: 0, name: NOTHING, target: NOTHING }, null);
  new RecordView().moveTo(file, offset).setInode(low, high);
  return offset;
}

function exists(dirfd: number, name: CString): boolean {
  try {
    new Stat().readAt(dirfd, name);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

function deviceOf(stat: Stat): string {
  return `${stat.filesystemMajor}:${stat.filesystemMinor}`;
}
