import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { cgroupOf, isThread } from '../../linux/blocked-call.ts';
import { answerEvent, type ContentEvent, isOpening } from '../../linux/fanotify.ts';
import { close } from '../../linux/open.ts';
import { candidatesOf } from './candidates.ts';
import { CHUNK_BYTES, type ChunkRange } from './chunks.ts';
import { type Demand, demandOf, safestDemand } from './demand.ts';
import type { Miss, Opened } from './event-messages.ts';
import type { Fetcher } from './fetcher.ts';
import type { FileTable } from './file-table.ts';
import { chunksNeeded, isFulfilled } from './fulfilment.ts';
import { type Ghost, type InFlight, NOT_LOOKED } from './in-flight.ts';
import type { Settler } from './settler.ts';
import type { SourceLink } from './source-link.ts';
import { Turns } from './turns.ts';
import { WaitTimes } from './wait-times.ts';
import { READ_MAX_BYTES } from './wire.ts';
import type { WriteFiles } from './write-files.ts';

const FALLS_ASLEEP_TRIES = 1000;
const RETRY_MS = 1000;
const PATIENCE_CHECK_MS = 100;
const WINDOW_CHUNKS = READ_MAX_BYTES / CHUNK_BYTES;
/** Of one access under way at once: the source is at the next while one is written here. */
const WINDOWS = 4;
/** While the copy rests: who reads on from there, or from nearly there, as a database that fills its pool page by page, finds so much more. */
const AHEAD_CHUNKS = (256 * 1024) / CHUNK_BYTES;
const NEARLY_CHUNKS = 4;

export type MissesParts = {
  group: number;
  table: FileTable;
  fetcher: Fetcher;
  settler: Settler;
  inFlight: InFlight;
  files: WriteFiles;
  link: SourceLink;
  waitLimitMs: number | null;
  onSequential: (file: number, chunk: number) => void;
  /** Whether nothing but this brings anything now. */
  isCopyResting: () => boolean;
  onBroken: (file: number, error: CargoError) => void;
};

/** Events whose content isn't here yet: brings it here, then answers. */
export class Misses {
  readonly #o: MissesParts;
  readonly times = new WaitTimes();
  readonly #turns = new Turns();
  /** file → where its last miss ended. */
  readonly #lastEnds = new Map<number, number>();
  /** When (performance.now()) somebody waited last, other than those who read a file from front to back. */
  waitedAt = Number.NEGATIVE_INFINITY;
  #waitedFor = -1;
  #waiting = 0;
  #stranded = 0;
  #denied = 0;

  constructor(parts: MissesParts) {
    this.#o = parts;
  }

  /** Events that wait right now. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Events that wait until nothing is missing: nobody knows which file they are about. */
  get stranded(): number {
    return this.#stranded;
  }

  /** Events that were answered with EIO. */
  get denied(): number {
    return this.#denied;
  }

  async handle(miss: Miss): Promise<void> {
    const { event, file } = miss;
    const isAllowed = await this.#answer(event, this.#fulfil(miss));
    if (isAllowed && isOpening(event)) this.keepOpen({ file, opened: event.fd });
    else close(event.fd);
  }

  /** Takes the descriptor of a file that somebody was let open, until all of the file is here. */
  keepOpen({ file, opened }: Opened): void {
    if (file < 0 || this.#o.table.isHere(file)) close(opened);
    else this.#o.files.pin(file, opened);
  }

  /**
   * The same for an event of an earlier hydrator, which is only a number. If it can't be told which file it is about it waits
   * for all of them: until `complete`.
   */
  async handleGhost({ event, file }: Ghost, complete: Promise<void>): Promise<void> {
    if (!isThread(event.tid)) {
      await this.#answer(event, Promise.resolve(false));
      return;
    }
    const { table } = this.#o;
    const files = file === NOT_LOOKED ? ((await untilAsleep(() => candidatesOf(event, table))) ?? []) : [file];
    if (files.length > 0) {
      const fulfilled = Promise.all(
        files.map((candidate) =>
          this.#fulfil({ event, file: candidate, hasOtherNames: true, isHidden: true, demand: null }),
        ),
      );
      await this.#answer(
        event,
        fulfilled.then((all) => all.every((one) => one)),
      );
      return;
    }
    this.#stranded += 1;
    await complete;
    this.#stranded -= 1;
    await this.#answer(event, Promise.resolve(true));
  }

  async #answer(event: ContentEvent, fulfilled: Promise<boolean>): Promise<boolean> {
    const since = performance.now();
    this.#waiting += 1;
    const isAllowed = await this.#patiently(fulfilled, since);
    this.#waiting -= 1;
    this.times.add(performance.now() - since);
    if (!isAllowed) this.#denied += 1;
    answerEvent(this.#o.group, event.fd, isAllowed);
    this.#o.inFlight.remove(event.fd);
    return isAllowed;
  }

  /** False when it can't be, or the source has been away for longer than processes shall wait. */
  async #patiently(fulfilled: Promise<boolean>, since: number): Promise<boolean> {
    const { waitLimitMs, link } = this.#o;
    if (waitLimitMs === null) return fulfilled;
    const settled = Symbol('settled');
    const end = fulfilled.then(() => settled);
    while (true) {
      const first = await Promise.race([end, delay(Math.min(PATIENCE_CHECK_MS, waitLimitMs))]);
      if (first === settled) return fulfilled;
      if (link.away !== null && performance.now() - since >= waitLimitMs) return false;
    }
  }

  async #fulfil({ event, file, demand: known, ...how }: Miss): Promise<boolean> {
    const { table, settler } = this.#o;
    if (file < 0) return false;
    const demand = known ?? (await this.#demand(event, file, how));
    const needed = chunksNeeded(event, demand, table.size(file));
    for (let turn = 0; !isFulfilled(table, file, demand, needed); turn += 1) {
      // What it still lacks somebody else is at, who must get to go on.
      if (turn > 0) await nextTurn();
      try {
        const cgroup = cgroupOf(event.tid);
        for (const chunks of needed) await this.#fetch(file, chunks, demand, cgroup);
        if (demand.durable) await settler.settleFile(file);
      } catch (thrown) {
        const error = CargoError.from(thrown);
        this.#o.onBroken(file, error);
        if (error.code === 'SOURCE_FILE_CHANGED') return false;
        await delay(RETRY_MS);
      }
    }
    if (demand.durable) table.noteWrite(file);
    return true;
  }

  async #demand(event: ContentEvent, file: number, how: Pick<Miss, 'hasOtherNames' | 'isHidden'>): Promise<Demand> {
    const { table } = this.#o;
    const size = table.size(file);
    return (await untilAsleep(() => demandOf(event, { size, isSparse: table.isSparse(file), ...how }))) ?? safestDemand;
  }

  /** A few requests at a time, so that another process's small read does not queue behind a whole file. */
  async #fetch(file: number, chunks: ChunkRange, demand: Demand, cgroup: string): Promise<void> {
    const { fetcher, link } = this.#o;
    const isForeseen = demand.need === 'range' && this.#readAhead(file, chunks);
    this.#noteWait(file, isForeseen);
    const windows: Promise<void>[] = [];
    for (let first = chunks.first; first < chunks.end; first += WINDOW_CHUNKS) {
      const end = Math.min(first + WINDOW_CHUNKS, chunks.end);
      const endTurn = await this.#turns.take(cgroup, (end - first) * CHUNK_BYTES);
      const window = fetcher.fetch(file, { first, end }, link).finally(endTurn);
      // Of several that fail the first one is told.
      window.catch(() => {});
      windows.push(window);
      if (windows.length >= WINDOWS) await windows.shift();
    }
    await Promise.all(windows);
    this.#noteWait(file, isForeseen);
  }

  /** Who goes on from front to back was no exception with the first read either. */
  #noteWait(file: number, isForeseen: boolean): void {
    if (!isForeseen) [this.waitedAt, this.#waitedFor] = [performance.now(), file];
    else if (this.#waitedFor === file) this.waitedAt = Number.NEGATIVE_INFINITY;
  }

  /** Whether these follow what was asked for last. */
  #readAhead(file: number, chunks: ChunkRange): boolean {
    const { onSequential, isCopyResting, table } = this.#o;
    const skipped = chunks.first - (this.#lastEnds.get(file) ?? Number.NEGATIVE_INFINITY);
    this.#lastEnds.set(file, chunks.end);
    if (skipped === 0) onSequential(file, chunks.end);
    if (skipped >= 0 && skipped <= NEARLY_CHUNKS && isCopyResting()) {
      const end = Math.min(chunks.end + AHEAD_CHUNKS, table.allChunks(file).end);
      this.#bringAhead(file, { first: chunks.end, end });
    }
    return skipped === 0;
  }

  /** What is wrong with it is told to who waits for it. */
  #bringAhead(file: number, chunks: ChunkRange): void {
    this.#lastEnds.set(file, chunks.end);
    this.#o.fetcher.fetch(file, chunks, this.#o.link).catch(() => {});
  }
}

/** What `look` sees of a thread, once it waits; null if it does not come to that. */
async function untilAsleep<T>(look: () => T | null): Promise<T | null> {
  for (let tries = 0; tries < FALLS_ASLEEP_TRIES; tries += 1) {
    const seen = look();
    if (seen !== null) return seen;
    await delay(1);
  }
  return null;
}
