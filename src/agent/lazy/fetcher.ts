import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { isErrno } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { besidesHoles } from './besides-holes.ts';
import { CHUNK_BYTES, type ChunkRange } from './chunks.ts';
import { type FileTable, sinceStamp } from './file-table.ts';
import type { Journal } from './journal.ts';
import { isStillAt, type KeptMetadata, metadataOf, putBack } from './kept-metadata.ts';
import type { PlaceholderList } from './placeholders.ts';
import type { Settler } from './settler.ts';
import type { SourceLink } from './source-link.ts';
import { READ_MAX_BYTES } from './wire.ts';
import type { WriteFiles } from './write-files.ts';
import type { WriteNote } from './write-note.ts';

const RUN_CHUNKS = READ_MAX_BYTES / CHUNK_BYTES;
const DAMAGED_TRIES = 5;
const NO_ROOM_PAUSE_MS = 1000;
/** A write that was let through is on its way for at most about this long. */
const WRITE_LANDS_MS = 50;

export type FetcherParts = {
  table: FileTable;
  list: PlaceholderList;
  journal: Journal;
  files: WriteFiles;
  settler: Settler;
  note: WriteNote;
};

/** Brings chunks here: each is fetched once, however many wait for it, and written before anybody may read it. */
export class Fetcher {
  readonly #o: FetcherParts;
  /** file → chunk → when it is here. */
  readonly #running = new Map<number, Map<number, Promise<void>>>();
  readonly #stat = new Stat();
  /** Fetched and written by this process. */
  bytes = 0;
  /** Why hydration can't go on for now, if it is this host's disk. */
  trouble: string | null = null;

  constructor(parts: FetcherParts) {
    this.#o = parts;
  }

  /** Resolves when these chunks are here. @throws CargoError of the source, about this file */
  async fetch(file: number, chunks: ChunkRange, link: SourceLink): Promise<void> {
    const waits: Promise<void>[] = [];
    for (let first = this.#nextMissing(file, chunks); first < chunks.end; ) {
      const running = this.#running.get(file)?.get(first);
      const end = running === undefined ? this.#runEnd(file, first, chunks.end) : first + 1;
      waits.push(running ?? this.#begin(file, { first, end }, link));
      first = this.#nextMissing(file, { first: end, end: chunks.end });
    }
    await Promise.all(waits);
  }

  /** The first run of so many chunks at most, at or after `from`, that nobody fetches yet, or null. */
  nextRun(file: number, from: number, most: number): ChunkRange | null {
    const all = this.#o.table.allChunks(file);
    for (let first = this.#nextMissing(file, { first: from, end: all.end }); first < all.end; ) {
      if (this.#running.get(file)?.has(first) !== true) {
        return { first, end: this.#runEnd(file, first, Math.min(all.end, first + most)) };
      }
      first = this.#nextMissing(file, { first: first + 1, end: all.end });
    }
    return null;
  }

  #nextMissing(file: number, chunks: ChunkRange): number {
    return this.#o.table.here.firstMissing(this.#o.table.start(file), chunks);
  }

  #runEnd(file: number, first: number, limit: number): number {
    const { table } = this.#o;
    const running = this.#running.get(file);
    let end = first + 1;
    while (
      end < limit &&
      end - first < RUN_CHUNKS &&
      running?.has(end) !== true &&
      !table.here.has(table.start(file), end)
    ) {
      end += 1;
    }
    return end;
  }

  #begin(file: number, chunks: ChunkRange, link: SourceLink): Promise<void> {
    const running = this.#running.get(file) ?? new Map<number, Promise<void>>();
    this.#running.set(file, running);
    const work = this.#bring(file, chunks, link).finally(() => {
      for (let chunk = chunks.first; chunk < chunks.end; chunk += 1) running.delete(chunk);
      if (running.size === 0) this.#running.delete(file);
    });
    for (let chunk = chunks.first; chunk < chunks.end; chunk += 1) running.set(chunk, work);
    return work;
  }

  async #bring(file: number, chunks: ChunkRange, link: SourceLink): Promise<void> {
    const offset = chunks.first * CHUNK_BYTES;
    const length = Math.min(chunks.end * CHUNK_BYTES, this.#o.table.size(file)) - offset;
    const bytes = await readVerified(link, this.#o.list.at(file).file, offset, length);
    while (!(await this.#store(file, offset, bytes))) await delay(NO_ROOM_PAUSE_MS);
    link.giveBack(bytes);
    this.bytes += length;
    this.#o.journal.addHere({ file, chunks });
    this.#o.settler.add(file, chunks);
  }

  /** False if the disk has no room now. */
  async #store(file: number, offset: number, bytes: Buffer): Promise<boolean> {
    const opened = this.#o.files.use(file);
    // Deleted, and open nowhere: nobody will ever read it.
    if (opened === null) return true;
    try {
      while (!this.#write(file, opened.fd, bytes, offset, await this.#writesLanded(file, opened.fd)));
      this.trouble = null;
      return true;
    } catch (error) {
      if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
      this.trouble = 'The disk is full: what is missing waits until there is room.';
      return false;
    } finally {
      opened.release();
    }
  }

  /** Without a trace in the metadata; false if a process was let write since `stamp`. */
  #write(file: number, fd: number, bytes: Buffer, offset: number, stamp: number): boolean {
    const { note, table } = this.#o;
    const parts = besidesHoles(fd, bytes, offset);
    if (!table.beginWrite(file, stamp)) return false;
    const kept = this.#noted(file, fd);
    try {
      for (const part of parts) {
        for (let done = 0; done < part.length; ) {
          const at = part.offset - offset + done;
          done += writeSync(fd, bytes, at, part.length - done, part.offset + done);
        }
      }
    } finally {
      putBack(fd, kept);
      note.end();
      table.endWrite();
    }
    return true;
  }

  /** What is to be put back after a write that follows at once: a time that is set in between is lost, so it is looked at last. */
  #noted(file: number, fd: number): KeptMetadata {
    for (let kept = metadataOf(fd); ; kept = metadataOf(fd)) {
      this.#o.note.begin(file, kept);
      if (isStillAt(fd, kept)) return kept;
    }
  }

  /**
   * Our write puts back the modification time that it finds. A process that was let write a moment ago may not have moved
   * it yet: then its change would be undone. Resolves with the stamp of the last such write.
   */
  async #writesLanded(file: number, fd: number): Promise<number> {
    while (true) {
      const stamp = this.#o.table.writeStamp(file);
      const since = sinceStamp(stamp);
      if (since >= WRITE_LANDS_MS) return stamp;
      const { mtimeSeconds, mtimeNanoseconds } = this.#stat.readFd(fd);
      if (Date.now() - (mtimeSeconds * 1000 + mtimeNanoseconds / 1e6) <= since) return stamp;
      await delay(WRITE_LANDS_MS - since);
    }
  }
}

async function readVerified(link: SourceLink, file: number, offset: number, length: number): Promise<Buffer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await link.read(file, offset, length);
    } catch (error) {
      const isDamaged = error instanceof CargoError && error.code === 'CHECKSUM_MISMATCH';
      if (!isDamaged || tries === DAMAGED_TRIES) throw error;
    }
  }
}
