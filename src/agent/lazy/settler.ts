import { fdatasync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { unmarkInode } from '../../linux/fanotify.ts';
import { openHandle } from '../../linux/file-handle.ts';
import { isErrno } from '../../linux/libc.ts';
import { close, O_PATH } from '../../linux/open.ts';
import { syncFilesystemInBackground } from '../../linux/sync.ts';
import { CHUNK_BYTES, type ChunkRange } from './chunks.ts';
import type { FileTable } from './file-table.ts';
import type { FileChunks, Journal } from './journal.ts';
import type { PlaceholderList } from './placeholders.ts';
import type { WriteFiles } from './write-files.ts';

const syncDataOf = promisify(fdatasync);
/** Fewer files than this are synced one by one, which leaves the rest of the file system alone. */
const FEW_FILES = 16;
const UNMARKS_A_TURN = 100;
/** Worth a run: whoever writes to a file for the first time waits for all of it that is here to be durable. */
const ENOUGH = { bytesOfFew: 32 * 1024 * 1024, bytes: 96 * 1024 * 1024, files: 2000 };

export type SettlerParts = {
  group: number;
  mountFd: number;
  table: FileTable;
  list: Pick<PlaceholderList, 'at'>;
  journal: Pick<Journal, 'addDurable'>;
  files: Pick<WriteFiles, 'use' | 'close'>;
  onDone: (files: number) => void;
  /** Nobody knows any more what of that which isn't durable is on the disk. */
  onSyncFailed: (error: unknown) => void;
};

/**
 * Makes what is here durable, in this order and no other: content on the disk, then the journal, then the mark goes from
 * files that are complete.
 */
export class Settler {
  readonly #o: SettlerParts;
  readonly #pending = new Map<number, ChunkRange[]>();
  #enough = Promise.withResolvers<void>();
  #end = Promise.withResolvers<void>();
  readonly #isUnmarked: Uint8Array;
  /** What is being made durable: file → end of the run that includes it. */
  readonly #running = new Map<number, Promise<void>>();
  /** Of what is here and not durable. */
  unsettledBytes = 0;

  constructor(parts: SettlerParts) {
    this.#o = parts;
    this.#isUnmarked = new Uint8Array(parts.table.count);
  }

  /** Resolves at the end of the next run, of whatever files. */
  get nextEnd(): Promise<void> {
    return this.#end.promise;
  }

  /** Returns when there is enough for a run, or after `limitMs`. For one caller: the next waits for what comes after. */
  async untilEnough(limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    await Promise.race([promise, this.#enough.promise]);
    clearTimeout(timer);
    this.#enough = Promise.withResolvers();
  }

  /** These chunks are here now and want to be durable some day. */
  add(file: number, chunks: ChunkRange): void {
    this.unsettledBytes += (chunks.end - chunks.first) * CHUNK_BYTES;
    this.#addPending(file, chunks);
    const { size } = this.#pending;
    const isEnough = this.unsettledBytes >= (size <= FEW_FILES ? ENOUGH.bytesOfFew : ENOUGH.bytes);
    if (size > ENOUGH.files || isEnough) this.#enough.resolve();
  }

  #addPending(file: number, chunks: ChunkRange): void {
    const known = this.#pending.get(file);
    if (known === undefined) this.#pending.set(file, [chunks]);
    else known.push(chunks);
  }

  /** Returns once everything of a file that is here is durable. */
  async settleFile(file: number): Promise<void> {
    await this.#running.get(file);
    // Whoever began one since then took all that was pending.
    await (this.#running.get(file) ?? this.#begin([file]));
  }

  /** The same for everything that is here now. */
  async settleAll(): Promise<void> {
    await Promise.all(this.#running.values());
    await this.#begin([...this.#pending.keys()]);
  }

  /** A file is in one run at a time: who waits for it waits for the right one. */
  async #begin(files: readonly number[]): Promise<void> {
    const batch = new Map<number, ChunkRange[]>();
    for (const file of files) {
      const chunks = this.#pending.get(file);
      if (chunks !== undefined && !this.#running.has(file)) batch.set(file, chunks);
    }
    if (batch.size === 0) return;
    const run = this.#run(batch);
    for (const file of batch.keys()) {
      this.#pending.delete(file);
      this.#running.set(file, run);
    }
    await run;
  }

  async #run(batch: Map<number, ChunkRange[]>): Promise<void> {
    try {
      await this.#settle(batch);
      for (const ranges of batch.values()) this.unsettledBytes -= bytesOf(ranges);
    } catch (error) {
      for (const [file, ranges] of batch) for (const chunks of ranges) this.#addPending(file, chunks);
      throw error;
    } finally {
      for (const file of batch.keys()) this.#running.delete(file);
      this.#end.resolve();
      this.#end = Promise.withResolvers();
    }
  }

  async #settle(batch: Map<number, ChunkRange[]>): Promise<void> {
    const { journal, table, onSyncFailed } = this.#o;
    const all: FileChunks[] = [];
    for (const [file, ranges] of batch) for (const chunks of ranges) all.push({ file, chunks });
    try {
      await this.#sync([...batch.keys()]);
      await journal.addDurable(all);
    } catch (error) {
      onSyncFailed(error);
      throw error;
    }
    await this.unmark([...batch.keys()].filter((file) => table.isDone(file)));
  }

  /** That a file was deleted must be durable too before it counts as done: after a power cut it may be there again. */
  async #sync(files: readonly number[]): Promise<void> {
    const isFew = files.length <= FEW_FILES;
    const areThere = isFew ? await Promise.all(files.map((file) => this.#syncFile(file))) : [];
    if (!isFew || areThere.includes(false)) await syncFilesystemInBackground(this.#o.mountFd);
  }

  /** False if it was deleted. */
  async #syncFile(file: number): Promise<boolean> {
    const opened = this.#o.files.use(file);
    if (opened === null) return false;
    try {
      await syncDataOf(opened.fd);
      return true;
    } finally {
      opened.release();
    }
  }

  /** Takes the marks from files that are done; those that have none are fine. */
  async unmark(done: readonly number[]): Promise<void> {
    const { group, mountFd, list, onDone } = this.#o;
    const files = done.filter((file) => this.#isUnmarked[file] === 0);
    for (const [index, file] of files.entries()) {
      if (index % UNMARKS_A_TURN === UNMARKS_A_TURN - 1) await nextTurn();
      if (this.#isUnmarked[file] === 1) continue;
      this.#o.files.close(file);
      removeMark(group, mountFd, list.at(file).handle);
      this.#isUnmarked[file] = 1;
      onDone(1);
    }
  }
}

function removeMark(group: number, mountFd: number, handle: Buffer): void {
  let fd = -1;
  try {
    fd = openHandle(mountFd, handle, O_PATH);
    unmarkInode(group, fd);
  } catch (error) {
    if (!isErrno(error, 'ESTALE')) throw error;
  } finally {
    if (fd >= 0) close(fd);
  }
}

function bytesOf(ranges: readonly ChunkRange[]): number {
  return ranges.reduce((sum, { first, end }) => sum + (end - first) * CHUNK_BYTES, 0);
}
