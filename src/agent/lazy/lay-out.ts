import { CargoError } from '../../api/cargo-error.ts';
import { handleOf } from '../../linux/file-handle.ts';
import { cstring, isErrno } from '../../linux/libc.ts';
import { close, O_NOFOLLOW, O_PATH, O_RDWR, openAt, reopen } from '../../linux/open.ts';
import { reserve } from '../../linux/sparse.ts';
import { S_IFREG, Stat } from '../../linux/stat.ts';
import { DirectoryStack } from '../volume/directory-stack.ts';
import { OpenRoot } from '../volume/open-root.ts';
import { bitmapBytes, CHUNK_BYTES, chunkCount } from './chunks.ts';
import type { ListedFile } from './entry.ts';
import { Journal } from './journal.ts';
import { metadataOf, putBack } from './kept-metadata.ts';
import { type Placeholder, PlaceholderWriter } from './placeholders.ts';
import { refuseTooMany } from './probe.ts';

/**
 * Makes placeholders of the outlines that the last round left: room reserved where the source has data, nothing written.
 * Nobody may have the tree in use. Returns how many there are. `writeDown` notes that number while the list is written to the disk: each sync
 * is downtime, and until the volume is armed all of it would be made anew.
 * @throws CargoError DISK_FULL (from the caller's errno), MIGRATION_FAILED where the tree isn't the one that was copied
 */
export async function layOutPlaceholders(options: {
  path: string;
  stateDir: string;
  list: (onFile: (file: ListedFile) => void) => Promise<void>;
  writeDown: (files: number) => Promise<void>;
}): Promise<number> {
  using root = OpenRoot.open({ path: options.path, isFile: false });
  using writer = new PlaceholderWriter(options.stateDir);
  using walk = new Walk(root);
  const bitmap = new BitmapBuilder();
  await options.list((file) => {
    const placeholder = makePlaceholder(walk.directoryOf(file.path), file, options.path);
    if (placeholder === null) return;
    writer.add(placeholder);
    bitmap.add(file);
  });
  refuseTooMany(writer.count);
  // What was reserved may be lost in a power cut: then there is only less certain room for it.
  const written = await Promise.allSettled([
    Journal.create(options.stateDir, bitmap.bytes()),
    writer.finish(),
    options.writeDown(writer.count),
  ]);
  for (const one of written) if (one.status === 'rejected') throw one.reason;
  return writer.count;
}

/**
 * Null for a file that is one hole: it has all its content already. A file is sparse if it takes less room than its size:
 * that is how programs tell before they ask for its holes. One that only ends in reserved room, as a database's table, is not.
 */
function makePlaceholder(dirfd: number, listed: ListedFile, root: string): Placeholder | null {
  const handle = openAt(dirfd, cstring(listed.path.at(-1) ?? ''), O_PATH | O_NOFOLLOW);
  const stat = new Stat().readFd(handle);
  const shown = `${root}/${listed.path.join('/')}`;
  if (stat.format !== S_IFREG || stat.size !== listed.size) {
    close(handle);
    throw new CargoError('MIGRATION_FAILED', `${shown} was changed by somebody else during the transfer.`);
  }
  const fd = openToFill(handle, shown);
  try {
    const kept = metadataOf(fd);
    try {
      for (const { start, end } of listed.data) {
        if (!reserve(fd, start, end - start)) throw unfit(shown, 'room on its file system cannot be reserved');
      }
    } finally {
      putBack(fd, kept);
    }
    if (listed.data.length === 0) return null;
    const { file, size, mtimeSeconds } = listed;
    const isSparse = new Stat().readFd(fd).blocks * 512 < size;
    const inode = stat.inodeHigh * 0x1_0000_0000 + stat.inodeLow;
    return { file, inode, size, mtimeSeconds, isSparse, handle: handleOf(fd) };
  } finally {
    close(fd);
  }
}

function openToFill(handle: number, shown: string): number {
  try {
    return reopen(handle, O_RDWR);
  } catch (error) {
    if (isErrno(error, 'EPERM')) throw unfit(shown, 'chattr has made it immutable, or good for appending only');
    throw error;
  } finally {
    close(handle);
  }
}

function unfit(shown: string, why: string): CargoError {
  return new CargoError('BLOCKED', `${shown} can't be filled when it is touched: ${why}.`);
}

/** Goes from directory to directory by the paths of a list that is in the order of a tree walk. */
class Walk implements Disposable {
  readonly #stack: DirectoryStack;
  #names: Buffer[] = [];

  constructor(root: OpenRoot) {
    this.#stack = new DirectoryStack(root.fd);
  }

  directoryOf(path: Buffer[]): number {
    const names = path.slice(0, -1);
    const common = this.#names.findIndex((name, index) => names[index]?.equals(name) !== true);
    const kept = common < 0 ? this.#names.length : common;
    while (this.#stack.depth > kept) this.#stack.pop();
    for (const name of names.slice(kept)) this.#stack.push(cstring(name), null);
    this.#names = names.map((name) => Buffer.from(name));
    return this.#stack.fd();
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
  }
}

/** The bits of all files one behind the other; set where the source has no data, so nothing is to be fetched. */
class BitmapBuilder {
  #bytes = Buffer.alloc(4096);
  #length = 0;

  add({ size, data }: ListedFile): void {
    const bits = Buffer.alloc(bitmapBytes(size));
    for (let chunk = 0; chunk < chunkCount(size); chunk += 1) setBit(bits, chunk);
    for (const { start, end } of data) {
      for (let chunk = Math.floor(start / CHUNK_BYTES); chunk * CHUNK_BYTES < end; chunk += 1) clearBit(bits, chunk);
    }
    while (this.#length + bits.length > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2);
    }
    bits.copy(this.#bytes, this.#length);
    this.#length += bits.length;
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

function setBit(bits: Buffer, index: number): void {
  bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
}

function clearBit(bits: Buffer, index: number): void {
  bits[index >> 3] = (bits[index >> 3] ?? 0) & ~(1 << (index & 7));
}
