import { type CString, isErrno } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { BlockCursor } from './block-cursor.ts';
import { DirectoryStack } from './directory-stack.ts';
import { beginBlock, EntryRecorder, type ScanOptions } from './entry-recorder.ts';
import { DIRECTORY } from './format.ts';
import { Listing } from './listing.ts';
import { ONLY_FILE } from './open-root.ts';
import { RecordView } from './record.ts';
import type { TreeMeasure } from './worker-messages.ts';

/**
 * Writes the tree below a root into an empty tree file, entries without their contents. Every inode is recorded once
 * and further names of it as LINK: also where a live tree shows a moved file twice, so one number is one inode.
 */
export function scanTree(options: ScanOptions): TreeMeasure {
  return new Scanner(options).run();
}

class Scanner {
  readonly #o: ScanOptions;
  readonly #recorder: EntryRecorder;
  readonly #view = new RecordView();
  readonly #listing = new Listing();

  constructor(options: ScanOptions) {
    this.#o = options;
    this.#recorder = new EntryRecorder(options);
  }

  run(): TreeMeasure {
    using directories = new DirectoryStack(this.#o.root.fd);
    const stack = [this.#scanDirectory(directories, this.#recorder.recordRoot())];
    while (stack.length > 0) {
      const cursor = stack.at(-1);
      if (cursor?.next(this.#view)) {
        if (this.#view.type === DIRECTORY) stack.push(this.#descend(directories));
      } else {
        stack.pop();
        directories.pop();
      }
    }
    return this.#recorder.size;
  }

  /** Into the directory that the view is on. */
  #descend(directories: DirectoryStack): BlockCursor {
    const { inodeLow: low, inodeHigh: high } = this.#view;
    directories.push(this.#view.name, { low, high });
    return this.#scanDirectory(directories, this.#view.offset);
  }

  #scanDirectory(directories: DirectoryStack, directory: number): BlockCursor {
    const { root, file } = this.#o;
    const block = beginBlock(file, directory);
    const isOnlyFile = directories.depth === 0 && root.only !== null;
    const count = isOnlyFile ? this.#scanOnlyFile(directories) : this.#scanEntries(directories);
    this.#view.moveTo(file, block).setEntryCount(count);
    this.#recorder.files += count;
    return new BlockCursor(file, directory);
  }

  #scanEntries(directories: DirectoryStack): number {
    let fd: number;
    try {
      fd = directories.fd();
      this.#listing.read(fd);
    } catch (error) {
      this.#recorder.passOver(error, directories.show());
      return 0;
    }
    let count = 0;
    for (let index = 0; index < this.#listing.count; index += 1) {
      this.#o.poll();
      const name = this.#listing.name(index);
      if (this.#recorder.record(fd, name, name.subarray(0, -1), directories)) count += 1;
    }
    return count;
  }

  #scanOnlyFile(directories: DirectoryStack): number {
    const local = this.#o.root.only;
    if (local === null || !exists(this.#o.root.fd, local)) return 0;
    return this.#recorder.record(this.#o.root.fd, local, ONLY_FILE.subarray(0, -1), directories) ? 1 : 0;
  }
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
