import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { CHUNK_BYTES, type ChunkRange } from './chunks.ts';
import type { Fetcher } from './fetcher.ts';
import type { FileTable } from './file-table.ts';
import type { CopyOrder } from './load-table.ts';
import { Pace } from './pace.ts';
import type { Settler } from './settler.ts';
import type { SourceLink } from './source-link.ts';
import { READ_MAX_BYTES } from './wire.ts';

/** What is asked for at once, and in one request: a process whose read comes then waits until that has been received. */
const ALONE = { bytes: 4 * 1024 * 1024, requestBytes: READ_MAX_BYTES };
const BESIDE_PROCESSES = { bytes: 256 * 1024, requestBytes: 128 * 1024 };
/** A process that has just waited will soon wait again. */
const CALM_MS = 250;
/** After it was armed or has rested, when something is to start with it: only what that will read is worth being in its way. */
const START_MS = 2000;
const WINDOW_REQUESTS = 32;
/** Not yet durable: who writes for the first time waits until it is, as much as there is of that file. */
const MOST_UNSETTLED_BYTES = 128 * 1024 * 1024;
const BROKEN_PAUSE_MS = 1000;

export type CopierParts = {
  table: FileTable;
  fetcher: Pick<Fetcher, 'nextRun' | 'fetch'>;
  link: SourceLink;
  order: CopyOrder;
  settler: Pick<Settler, 'unsettledBytes' | 'nextEnd'>;
  /** How many wait right now, and when (performance.now()) somebody last waited for what the copier could not foresee. */
  waits: { readonly waiting: number; readonly waitedAt: number };
  onBroken: (file: number, error: CargoError) => void;
};

/**
 * Brings everything that nobody has asked for, a few requests at a time: small ones as long as processes wait now and then,
 * and only one while any does.
 */
export class Copier {
  readonly #o: CopierParts;
  readonly #pace = new Pace();
  #isPaused = false;
  #resumed = Promise.withResolvers<void>();
  #bytes = 0;
  readonly #running = new Set<Promise<void>>();
  /** In the time of performance.now(). */
  #gentleUntil: number | null = null;
  #restsUntil = Number.NEGATIVE_INFINITY;
  #isAtFresh = false;
  #slotFreed = Promise.withResolvers<void>();
  /** Files that a process reads from front to back come first. */
  readonly #hurried = new Map<number, number>();

  constructor(parts: CopierParts) {
    this.#o = parts;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get isResting(): boolean {
    return performance.now() < this.#restsUntil;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#goOn();
  }

  /** Bytes per second; null: as fast as it goes. */
  limit(bytesPerSecond: number | null): void {
    this.#pace.set(bytesPerSecond);
  }

  /**
   * For so long from now, and no longer than that, nothing is brought that nobody waits for: who makes use of the tree begins, and syncs
   * what would wait for what the copy has on its way to the disk. After that it is gentle for a while.
   */
  rest(forMs: number): void {
    this.#restsUntil = performance.now() + forMs;
    this.#gentleUntil = this.#restsUntil + START_MS;
    this.#goOn();
  }

  hurry(file: number, chunk: number): void {
    this.#hurried.set(file, chunk);
  }

  /** Returns once it has been through all files. */
  async run(): Promise<void> {
    this.#gentleUntil ??= performance.now() + START_MS;
    const { files, fresh } = this.#o.order;
    for (const [index, file] of files.entries()) {
      this.#isAtFresh = index < fresh;
      for (let from = 0; this.#nextOf(file, from) !== null; ) {
        await this.#turn();
        const next = this.#nextHurried() ?? this.#nextOf(file, from);
        if (next === null) continue;
        await this.#pace.take((next.run.end - next.run.first) * CHUNK_BYTES);
        this.#begin(next.file, next.run);
        if (next.file === file) from = next.run.end;
      }
    }
    await Promise.all(this.#running);
  }

  get #window(): typeof ALONE {
    const { waitedAt } = this.#o.waits;
    const calm = Math.max(waitedAt + CALM_MS, this.#isAtFresh ? 0 : (this.#gentleUntil ?? 0));
    return performance.now() < calm ? BESIDE_PROCESSES : ALONE;
  }

  /** Waits until one more request may be made. */
  async #turn(): Promise<void> {
    while (true) {
      const { size } = this.#running;
      const { waits, settler } = this.#o;
      const isFull = this.#bytes >= this.#window.bytes || size >= WINDOW_REQUESTS || (waits.waiting > 0 && size > 0);
      const restMs = this.#restsUntil - performance.now();
      if (this.#isPaused) await this.#resumed.promise;
      else if (restMs > 0) await this.#untilRested(restMs);
      else if (isFull) await this.#slotFreed.promise;
      else if (settler.unsettledBytes >= MOST_UNSETTLED_BYTES) await settler.nextEnd;
      else return;
    }
  }

  async #untilRested(restMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = setTimeout(resolve, restMs);
    await Promise.race([promise, this.#resumed.promise]);
    clearTimeout(end);
  }

  #goOn(): void {
    this.#resumed.resolve();
    this.#resumed = Promise.withResolvers();
  }

  #nextHurried(): { file: number; run: ChunkRange } | null {
    for (const [file, from] of this.#hurried) {
      const next = this.#nextOf(file, from);
      if (next !== null) {
        this.#hurried.set(file, next.run.end);
        return next;
      }
      this.#hurried.delete(file);
    }
    return null;
  }

  #nextOf(file: number, from: number): { file: number; run: ChunkRange } | null {
    if (this.#o.table.isHere(file)) return null;
    const run = this.#o.fetcher.nextRun(file, from, this.#window.requestBytes / CHUNK_BYTES);
    return run === null ? null : { file, run };
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
