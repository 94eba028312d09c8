import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { cstring, showName } from '../../linux/libc.ts';
import { close, openDirectoryAt } from '../../linux/open.ts';
import { readAhead } from '../../linux/read-ahead.ts';
import { nextData, nextHole } from '../../linux/sparse.ts';
import { Stat } from '../../linux/stat.ts';
import { BlockCursor } from '../volume/block-cursor.ts';
import { readFully } from '../volume/file-content.ts';
import { isOutlined } from '../volume/file-sender.ts';
import { FILE, HASH_BYTES } from '../volume/format.ts';
import { OpenRoot } from '../volume/open-root.ts';
import { openStale } from '../volume/partial-manifest.ts';
import { LINK, RecordView, STALE } from '../volume/record.ts';
import { type Tree, walkDirectories } from '../volume/tree.ts';
import { openRecorded } from '../volume/tree-entry.ts';
import { DescriptorLedger } from './descriptor-ledger.ts';
import { type ByteRange, encodeEntry, type ListedFile } from './entry.ts';
import { hashOf } from './range-hash.ts';
import type { RangeRequest } from './wire.ts';

const OPEN_FILES = 64;
/** The root, and the file that is opened before the oldest one is closed. */
export const MOST_DESCRIPTORS = OPEN_FILES + 2;
const LIST_BATCH_BYTES = 262_144;
/** A disk may have to be searched for each file: who waits for the list is told at least every so often. */
const LIST_BATCH_MS = 1000;
const AHEAD_BYTES = 2 * 1024 * 1024;
/** A file of more pieces is told with its smaller gaps filled: they are zeros either way. */
const MOST_RANGES = 10_000;
const Sent = z.object({
  acknowledged: z.string().nullable(),
  sent: z.string().nullable(),
  contentLimit: z.number().nullable().default(null),
});

/** `round`: its name, by which files are chosen and numbered; without it the last one that was acknowledged. */
export type ServedTree = { path: string; stateDir: string; contentLimit?: number; round?: string };

/**
 * What is served is what the round left that the target received, which may be one whose acknowledgement was lost on the way.
 * @throws CargoError WRONG_PHASE when no such round was sent
 */
function roundOf({ stateDir, round }: Omit<ServedTree, 'path'>): { label: string; contentLimit: number | null } {
  const { acknowledged, sent, contentLimit } = Sent.parse(
    JSON.parse(readFileSync(join(stateDir, 'source.json'), 'utf8')),
  );
  const label = round ?? acknowledged;
  if (label !== null && (label === acknowledged || label === sent)) return { label, contentLimit };
  throw new CargoError('WRONG_PHASE', `The round ${label ?? 'before the first'} is not one that was sent last.`);
}

/** The name of the last round that was acknowledged. @throws CargoError WRONG_PHASE when there is none */
export function lastRoundOf(stateDir: string): string {
  return roundOf({ stateDir }).label;
}

/**
 * The files that the target has as outlines only, by the manifest of the last round. Their content is given out while they
 * are exactly what the manifest says, by inode, size, mtime and ctime: anything else is SOURCE_FILE_CHANGED.
 */
export class ServedFiles implements Disposable {
  readonly #root: OpenRoot;
  readonly #tree: Tree;
  /** Of file `n`: its record, and its directory's. */
  readonly #records: number[] = [];
  readonly #directories: number[] = [];
  /** A directory's record → that of the directory around it. */
  readonly #parents = new Map<number, number>();
  readonly #open = new Map<number, number>();
  /** Where who reads a file from front to back goes on. */
  #next = { file: -1, offset: 0 };
  readonly #ledger: DescriptorLedger;
  readonly #stat = new Stat();
  readonly #view = new RecordView();

  /**
   * `stateDir` is that of the rounds' sending side, which knows the `contentLimit` of the last one too. `ledger`, of MOST_DESCRIPTORS: which
   * ones of the tree are open.
   */
  constructor(options: ServedTree, ledger = DescriptorLedger.ofSize(MOST_DESCRIPTORS)) {
    this.#ledger = ledger;
    using undo = new DisposableStack();
    const state = roundOf(options);
    this.#tree = openStale(options.stateDir, state.label);
    undo.use(this.#tree.file);
    this.#root = OpenRoot.open({ path: options.path, isFile: false });
    ledger.add(this.#root.fd);
    undo.defer(() => ledger.closeAll());
    this.#collect({ contentLimit: options.contentLimit ?? state.contentLimit ?? Number.MAX_SAFE_INTEGER });
    undo.move();
  }

  get count(): number {
    return this.#records.length;
  }

  /** As `RangeSource` wants them. */
  entries(from: number): { bytes: Buffer; next: number | null } {
    const batch: Buffer[] = [];
    let length = 0;
    let file = from;
    const limit = performance.now() + LIST_BATCH_MS;
    for (; file < this.count && length < LIST_BATCH_BYTES && performance.now() < limit; file += 1) {
      const entry = encodeEntry(this.list(file));
      batch.push(entry);
      length += entry.length;
    }
    return { bytes: Buffer.concat(batch), next: file < this.count ? file : null };
  }

  list(file: number): ListedFile {
    const fd = this.#fd(file);
    const record = this.#record(file);
    const { size, mtimeSeconds } = record;
    const data = dataRanges(fd, size);
    this.#refuseChanged(file, fd);
    return { file, size, mtimeSeconds, data, path: this.#path(file) };
  }

  /**
   * The answer to a request, put into `memory`, of ANSWER_MAX_BYTES.
   * @throws CargoError SOURCE_FILE_CHANGED, PROTOCOL_ERROR
   */
  answer({ file, offset, length }: RangeRequest, memory: ArrayBuffer): Buffer {
    const answer = Buffer.from(memory, 0, HASH_BYTES + length);
    const bytes = answer.subarray(HASH_BYTES);
    this.#read(file, offset, bytes);
    hashOf(bytes).copy(answer);
    return answer;
  }

  #read(file: number, offset: number, bytes: Buffer): void {
    const { length } = bytes;
    if (file >= this.count) throw new CargoError('PROTOCOL_ERROR', `There is no file ${file} to be read.`);
    const { size } = this.#record(file);
    if (offset + length > size) throw new CargoError('PROTOCOL_ERROR', `${this.#show(file)} is not that long.`);
    const fd = this.#fd(file);
    const isWhole = readFully(fd, bytes, offset);
    if (this.#next.file === file && this.#next.offset === offset) readAhead(fd, offset + length, AHEAD_BYTES);
    this.#next = { file, offset: offset + length };
    this.#refuseChanged(file, fd);
    if (!isWhole) throw this.#changed(file);
  }

  [Symbol.dispose](): void {
    this.#ledger.closeAll();
    this.#tree.file[Symbol.dispose]();
  }

  #collect(limit: { contentLimit: number }): void {
    const { file } = this.#tree;
    const view = new RecordView();
    const above: number[] = [];
    walkDirectories(file, {
      enter: (directory) => {
        const parent = above.at(-1);
        if (parent !== undefined) this.#parents.set(directory, parent);
        above.push(directory);
        for (const cursor = new BlockCursor(file, directory); cursor.next(view); ) {
          if (view.type !== FILE || view.has(LINK) || !view.has(STALE) || !isOutlined(view, limit)) continue;
          this.#records.push(view.offset);
          this.#directories.push(directory);
        }
      },
      leave: () => {
        above.pop();
      },
    });
  }

  #record(file: number): RecordView {
    return this.#view.moveTo(this.#tree.file, this.#records[file] ?? 0);
  }

  /** Names from the root down. */
  #path(file: number): Buffer[] {
    const names: Buffer[] = [Buffer.from(this.#record(file).name.subarray(0, -1))];
    for (let at = this.#directories[file]; at !== undefined; at = this.#parents.get(at)) {
      const { name } = this.#view.moveTo(this.#tree.file, at);
      if (name.length > 1) names.unshift(Buffer.from(name.subarray(0, -1)));
    }
    return names;
  }

  #show(file: number): string {
    return `${this.#root.path}/${this.#path(file).map(showName).join('/')}`;
  }

  #fd(file: number): number {
    const known = this.#open.get(file);
    if (known !== undefined) {
      this.#open.delete(file);
      this.#open.set(file, known);
      return known;
    }
    const fd = this.#openFile(file);
    for (const [oldest, oldFd] of this.#open) {
      if (this.#open.size < OPEN_FILES) break;
      this.#ledger.close(oldFd);
      this.#open.delete(oldest);
    }
    this.#open.set(file, fd);
    return fd;
  }

  #openFile(file: number): number {
    const names = this.#path(file);
    const last = cstring(names.pop() ?? Buffer.alloc(0));
    let directory = this.#root.fd;
    try {
      for (const name of names) {
        const next = openDirectoryAt(directory, cstring(name));
        if (directory !== this.#root.fd) close(directory);
        directory = next;
      }
      const fd = openRecorded(directory, last, this.#record(file));
      if (fd === null) throw this.#changed(file);
      this.#ledger.add(fd);
      return fd;
    } catch (cause) {
      throw cause instanceof CargoError ? cause : this.#changed(file, cause);
    } finally {
      if (directory !== this.#root.fd) close(directory);
    }
  }

  #refuseChanged(file: number, fd: number): void {
    const record = this.#record(file);
    const stat = this.#stat.readFd(fd);
    const isSame =
      stat.size === record.size &&
      stat.mtimeSeconds === record.mtimeSeconds &&
      stat.mtimeNanoseconds === record.mtimeNanoseconds &&
      stat.ctimeSeconds === record.ctimeSeconds &&
      stat.ctimeNanoseconds === record.ctimeNanoseconds;
    if (!isSame) throw this.#changed(file);
  }

  #changed(file: number, cause?: unknown): CargoError {
    const message = `${this.#show(file)} at the source is not what it was when the move began: its content is not given out. Something else on the source's host has changed it.`;
    return new CargoError('SOURCE_FILE_CHANGED', message, { cause });
  }
}

function dataRanges(fd: number, size: number): ByteRange[] {
  const ranges: ByteRange[] = [];
  for (let at = nextData(fd, 0); at >= 0 && at < size; ) {
    const end = Math.min(size, Math.max(at + 1, nextHole(fd, at, size)));
    ranges.push({ start: at, end });
    at = end >= size ? -1 : nextData(fd, end);
  }
  return coarsen(ranges);
}

function coarsen(ranges: ByteRange[]): ByteRange[] {
  let coarse = ranges;
  for (let gap = 1024 * 1024; coarse.length > MOST_RANGES; gap *= 4) {
    const merged: ByteRange[] = [];
    for (const range of coarse) {
      const last = merged.at(-1);
      if (last !== undefined && range.start - last.end <= gap) last.end = range.end;
      else merged.push({ ...range });
    }
    coarse = merged;
  }
  return coarse;
}
