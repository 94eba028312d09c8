import { CargoError } from '../../api/cargo-error.ts';
import { type CString, cstring, isErrno } from '../../linux/libc.ts';
import { readLinkAt } from '../../linux/names.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, Stat } from '../../linux/stat.ts';
import type { DirectoryStack } from './directory-stack.ts';
import { BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, SOCKET, SYMLINK } from './format.ts';
import type { InodeIndex } from './inode-index.ts';
import type { OpenRoot } from './open-root.ts';
import type { PagedFile } from './paged-file.ts';
import { appendRecord, BLOCK, LINK, RACY, RecordView } from './record.ts';
import type { TreeMeasure } from './worker-messages.ts';

/** Longer than a kernel tick (10 ms at HZ=100), with room for a clock that is slewed. */
export const RACY_MS = 50;
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

/** The newest of many times, to the nanosecond, without an object for each. */
class Newest {
  #seconds = 0;
  #nanoseconds = 0;

  note(seconds: number, nanoseconds: number): void {
    if (seconds < this.#seconds || (seconds === this.#seconds && nanoseconds <= this.#nanoseconds)) return;
    this.#seconds = seconds;
    this.#nanoseconds = nanoseconds;
  }

  get ns(): bigint {
    return BigInt(this.#seconds) * 1_000_000_000n + BigInt(this.#nanoseconds);
  }
}

/** Looks at inodes one by one, and appends what it sees to a tree file. */
export class EntryRecorder {
  /** As in `TreeMeasure`. */
  files = 0;
  #bytes = 0;
  readonly #changedAt = new Newest();
  readonly #modifiedAt = new Newest();
  readonly #o: ScanOptions;
  readonly #stat = new Stat();
  readonly #target = Buffer.alloc(PATH_MAX);
  #device = '';

  constructor(options: ScanOptions) {
    this.#o = options;
  }

  get size(): TreeMeasure {
    const [changedAtNs, modifiedAtNs] = [this.#changedAt.ns, this.#modifiedAt.ns];
    return { files: this.files, bytes: this.#bytes, changedAtNs, modifiedAtNs };
  }

  /** The root itself, first of all. Returns the offset of its record, as `ROOT` says. */
  recordRoot(): number {
    const { root, file, index } = this.#o;
    this.#stat.readFd(root.fd);
    this.#device = deviceOf(this.#stat);
    this.#noteChange();
    const record = { type: DIRECTORY, flags: 0, name: NOTHING, target: NOTHING };
    const offset = appendRecord(file, record, this.#stat);
    index.add(this.#stat.inodeLow, this.#stat.inodeHigh, offset);
    return offset;
  }

  /**
   * An entry of the current directory: `local` is its real name, `name` what the record calls it.
   * @returns false if the entry is left out
   */
  record(dirfd: number, local: CString, name: Uint8Array, directories: DirectoryStack): boolean {
    const { file, index } = this.#o;
    const stat = this.#stat;
    try {
      stat.readAt(dirfd, local);
      this.#noteChange();
      const type = types.get(stat.format) ?? 0;
      const target = type === SYMLINK ? this.#target.subarray(0, readLinkAt(dirfd, local, this.#target)) : NOTHING;
      this.#refuseMount(directories, local);
      const slot = index.find(stat.inodeLow, stat.inodeHigh);
      if (slot >= 0) return this.#recordAgain(index.offsetAt(slot), { type, flags: LINK, name, target }, directories);
      const offset = appendRecord(file, { type, flags: isRacy(stat) ? RACY : 0, name, target }, stat);
      index.add(stat.inodeLow, stat.inodeHigh, offset);
      if (type === FILE) this.#bytes += stat.blocks * 512;
      return true;
    } catch (error) {
      this.passOver(error, directories.show(local));
      return false;
    }
  }

  /** A second name of an inode: a hard link, or in a live tree something moved, or a number used again. */
  #recordAgain(
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
    const { ctimeSeconds, ctimeNanoseconds, mtimeSeconds, mtimeNanoseconds } = this.#stat;
    this.#changedAt.note(ctimeSeconds, ctimeNanoseconds);
    this.#modifiedAt.note(mtimeSeconds, mtimeNanoseconds);
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
  passOver(error: unknown, path: string): void {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EINVAL', 'ESTALE')) throw error;
    this.#o.onChange(path);
  }
}

/** Appends the head of a directory's entries, and notes it in the directory's record. Returns its offset. */
export function beginBlock(file: PagedFile, directory: number): number {
  const view = new RecordView().moveTo(file, directory);
  const { inodeLow: low, inodeHigh: high } = view;
  const offset = appendRecord(file, { type: BLOCK, flags: 0, name: NOTHING, target: NOTHING }, null);
  view.moveTo(file, offset).setInode(low, high);
  view.moveTo(file, directory).setReference(offset);
  return offset;
}

function deviceOf(stat: Stat): string {
  return `${stat.filesystemMajor}:${stat.filesystemMinor}`;
}
