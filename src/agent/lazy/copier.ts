import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { CHUNK_BYTES, type ChunkRange } from './chunks.ts';
import type { Fetcher } from './fetcher.ts';
import type { FileTable } from './file-table.ts';
import { Pace } from './pace.ts';
import type { SourceLink } from './source-link.ts';

const WINDOW_BYTES = 4 * 1024 * 1024;
const WINDOW_REQUESTS = 32;
const BROKEN_PAUSE_MS = 1000;

export type CopierParts = {
  table: FileTable;
  fetcher: Fetcher;
  link: SourceLink;
  /** The order in which files are copied. */
  order: Uint32Array;
  /** How many reads of processes wait for the source right now. */
  urgent: () => number;
  onBroken: (file: number, error: CargoError) => void;
};

/** Brings everything that nobody has asked for, a few requests at a time, and only one while a process waits. */
export class Copier {
  readonly #o: CopierParts;
  readonly #pace = new Pace();
  #isPaused = false;
  #resumed = Promise.withResolvers<void>();
  #bytes = 0;
  readonly #running = new Set<Promise<void>>();
  #slotFreed = Promise.withResolvers<void>();
  /** Files that a process reads from front to back come first. */
  readonly #hurried = new Map<number, number>();

  constructor(parts: CopierParts) {
    this.#o = parts;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#resumed.resolve();
    this.#resumed = Promise.withResolvers();
  }

  /** Bytes per second; null: as fast as it goes. */
  limit(bytesPerSecond: number | null): void {
    this.#pace.set(bytesPerSecond);
  }

  hurry(file: number, chunk: number): void {
    this.#hurried.set(file, chunk);
  }

  /** Returns once it has been through all files. */
  async run(): Promise<void> {
    for (const file of this.#o.order) {
      let run = this.#o.table.isHere(file) ? null : this.#o.fetcher.nextRun(file, 0);
      while (run !== null) {
        await this.#turn();
        await this.#pace.take((run.end - run.first) * CHUNK_BYTES);
        const hurried = this.#nextHurried();
        if (hurried !== null) {
          this.#begin(hurried.file, hurried.run);
          continue;
        }
        this.#begin(file, run);
        run = this.#o.fetcher.nextRun(file, run.end);
      }
    }
    await Promise.all(this.#running);
  }

  /** Waits until one more request may be made. */
  async #turn(): Promise<void> {
    while (true) {
      const { size } = this.#running;
      const isFull = this.#bytes >= WINDOW_BYTES || size >= WINDOW_REQUESTS || (this.#o.urgent() > 0 && size > 0);
      if (this.#isPaused) await this.#resumed.promise;
      else if (isFull) await this.#slotFreed.promise;
      else return;
    }
  }

  #nextHurried(): { file: number; run: ChunkRange } | null {
    for (const [file, from] of this.#hurried) {
      const run = this.#o.fetcher.nextRun(file, from);
      if (run !== null) {
        this.#hurried.set(file, run.end);
        return { file, run };
      }
      this.#hurried.delete(file);
    }
    return null;
  }

  #begin(file: number, run: ChunkRange): void {
    const bytes = (run.end - run.first) * CHUNK_BYTES;
    this.#bytes += bytes;
    const work = this.#fetch(file, run).finally(() => {
      this.#bytes -= bytes;
      this.#running.delete(work);
      this.#slotFreed.resolve();
      this.#slotFreed = Promise.withResolvers();
    });
    this.#running.add(work);
  }

  async #fetch(file: number, run: ChunkRange): Promise<void> {
    try {
      await this.#o.fetcher.fetch(file, run, this.#o.link);
    } catch (thrown) {
      this.#o.onBroken(file, CargoError.from(thrown));
      await delay(BROKEN_PAUSE_MS);
    }
  }
}
