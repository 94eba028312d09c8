import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { occupy } from '../../linux/descriptors.ts';
import { markInode } from '../../linux/fanotify.ts';
import { openHandle } from '../../linux/file-handle.ts';
import { isErrno } from '../../linux/libc.ts';
import { close, O_PATH, openDirectory } from '../../linux/open.ts';
import { CHUNK_BYTES } from './chunks.ts';
import { serveControl } from './control.ts';
import { Copier } from './copier.ts';
import type { EventThreadData, Miss, Opened } from './event-messages.ts';
import { startEventThread } from './event-thread-start.ts';
import { Fetcher } from './fetcher.ts';
import type { FileTable } from './file-table.ts';
import { endAllHolders, HOLDERS, isAlive, type Kept, startHolder } from './holders.ts';
import { InFlight } from './in-flight.ts';
import { Journal } from './journal.ts';
import { copyOrder, loadTable } from './load-table.ts';
import { Misses } from './misses.ts';
import { PlaceholderList } from './placeholders.ts';
import { refuseOpenFiles } from './probe.ts';
import { Settler } from './settler.ts';
import { linkTo, type SourceLink } from './source-link.ts';
import type { ControlRequest, LazyStatus } from './status.ts';
import { type VolumeRecord, writeRecord } from './volume-record.ts';
import { WriteFiles } from './write-files.ts';
import { putBackLeft, WriteNote } from './write-note.ts';

const TEND_MS = 1000;

export type HydratorOptions = {
  stateDir: string;
  record: VolumeRecord;
  kept: Kept;
  /** They were an earlier hydrator's: its marks are set, and it may have left events. */
  isTakenOver: boolean;
  launcher: readonly string[];
};

/** Everything that one lazy volume needs while content is missing. It ends when nothing is. */
export class Hydrator {
  readonly #o: HydratorOptions;
  readonly #rootFd: number;
  readonly #list: PlaceholderList;
  readonly #table: FileTable;
  readonly #inFlight: InFlight;
  readonly #files: WriteFiles;
  readonly #settler: Settler;
  readonly #fetcher: Fetcher;
  readonly #misses: Misses;
  readonly #copier: Copier;
  readonly #writeNote: WriteNote;
  readonly #demandLink: SourceLink;
  readonly #bulkLink: SourceLink;
  readonly #broken = new Map<number, string>();
  /** Nothing is missing any more. */
  readonly #complete = Promise.withResolvers<void>();
  readonly #crashed = Promise.withResolvers<never>();
  #ghosts: Promise<void>[] = [];
  #record: VolumeRecord;
  /** The record is written by one at a time. */
  #written = Promise.resolve();
  #done = 0;
  #missingAtStart = 0;

  constructor(options: HydratorOptions) {
    this.#o = options;
    this.#record = options.record;
    const { stateDir, record } = options;
    const { group } = options.kept;
    const rootFd = openDirectory(record.path);
    const list = new PlaceholderList(stateDir);
    const table = loadTable(list, rootFd);
    const journal = new Journal(stateDir, table);
    const files = new WriteFiles(rootFd, list);
    const inFlight = new InFlight(options.kept.inFlight);
    const onDone = (count: number): void => {
      this.#done += count;
    };
    const onSyncFailed = (error: unknown): void => {
      // What the kernel could not write it forgets, and says so once: all that isn't durable is fetched again, by the next hydrator.
      try {
        Journal.forgetHere(stateDir);
      } finally {
        this.#crashed.reject(error);
      }
    };
    const settler = new Settler({ group, mountFd: rootFd, table, list, journal, files, onDone, onSyncFailed });
    const note = new WriteNote(stateDir);
    const fetcher = new Fetcher({ table, list, journal, files, settler, note });
    const demandLink = linkTo(record.source);
    const bulkLink = linkTo(record.source);
    const onBroken = (file: number, error: CargoError): void => {
      this.#broken.set(file, error.message);
    };
    const misses = new Misses({
      ...{ group, table, fetcher, settler, inFlight, files, link: demandLink, onBroken },
      waitLimitMs: record.waitLimitMs,
      onSequential: (file, chunk) => this.#copier.hurry(file, chunk),
      isCopyResting: () => this.#copier.isResting,
    });
    const order = copyOrder(list);
    const copier = new Copier({ table, fetcher, settler, link: bulkLink, order, waits: misses, onBroken });
    [this.#rootFd, this.#list, this.#table, this.#files] = [rootFd, list, table, files];
    [this.#inFlight, this.#settler, this.#fetcher, this.#misses] = [inFlight, settler, fetcher, misses];
    [this.#copier, this.#demandLink, this.#bulkLink] = [copier, demandLink, bulkLink];
    this.#writeNote = note;
  }

  /** Returns when the volume is protected. @throws CargoError BLOCKED when somebody has a file of it open already */
  async arm(): Promise<void> {
    const { stateDir, isTakenOver } = this.#o;
    const ghosts = isTakenOver ? this.#inFlight.ghosts() : [];
    // The kernel must not give their numbers to new events: an answer goes by number, and would meet the wrong one.
    if (ghosts.length > 0) occupy(ghosts.map(({ event }) => event.fd));
    putBackLeft(this.#writeNote, this.#list, this.#rootFd);
    await this.#startEventThread();
    this.#countDone();
    this.#ghosts = ghosts.map((ghost) => this.#watch(this.#misses.handleGhost(ghost, this.#complete.promise)));
    if (this.#record.phase === 'armed') await this.#tendHolders();
    else {
      // One record for both: each is downtime.
      await this.#tendHolders({ phase: 'arming' });
      this.#copier.rest(this.#record.restForMs);
      const gone = this.#markAll();
      const { dev } = statSync(this.#record.path, { bigint: true });
      refuseOpenFiles(dev, (inode) => {
        // The number of one that is complete or deleted may be another file's by now.
        const file = this.#table.findInode(Number(inode));
        return file >= 0 && !this.#table.isDone(file) && !gone.has(file);
      });
      await this.#change({ phase: 'armed' });
    }
    this.#copier.limit(this.#record.bwlimit);
    if (this.#record.paused) this.#copier.pause();
    await serveControl(stateDir, (request) => this.#control(request));
  }

  /** Returns when nothing is missing, nobody waits, and nothing of the engine is left but this process. */
  async finish(): Promise<void> {
    await Promise.race([this.#copyAll(), this.#crashed.promise]);
    this.#complete.resolve();
    await Promise.race([Promise.all(this.#ghosts), this.#crashed.promise]);
    while (this.#misses.waiting > 0) await Promise.race([delay(5), this.#crashed.promise]);
    await this.#change({ phase: 'finished' });
    endAllHolders(this.#o.stateDir);
    this.#demandLink.close();
    this.#bulkLink.close();
  }

  async #copyAll(): Promise<void> {
    this.#tend().catch(this.#crashed.reject);
    while (this.#done < this.#table.count) {
      await this.#copier.run();
      await this.#settler.settleAll().catch((error: unknown) => this.#note(error));
      if (this.#done < this.#table.count) await delay(TEND_MS);
    }
  }

  /** Keeps two holders alive, and makes durable what came, while there is anything to do. */
  async #tend(): Promise<void> {
    while (this.#done < this.#table.count) {
      await this.#settler.untilEnough(TEND_MS);
      await this.#settler.settleAll().catch((error: unknown) => this.#note(error));
      await this.#tendHolders().catch((error: unknown) => this.#note(error));
      this.#files.closeDeleted();
    }
  }

  #note(error: unknown): void {
    this.#broken.set(-1, CargoError.from(error).message);
  }

  async #startEventThread(): Promise<void> {
    const data: EventThreadData = { ...this.#o.kept, table: this.#table.parts };
    const thread = await Promise.race([startEventThread(data, this.#crashed.reject), this.#crashed.promise]);
    thread.on('message', (message: Miss | Opened) => {
      if ('opened' in message) this.#misses.keepOpen(message);
      else void this.#watch(this.#misses.handle(message));
    });
  }

  async #watch(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#crashed.reject(error);
    }
  }

  /** What is here from before: complete files lose their marks, the rest of what is here becomes durable. */
  #countDone(): void {
    const complete: number[] = [];
    for (let file = 0; file < this.#table.count; file += 1) {
      const [start, all] = [this.#table.start(file), this.#table.allChunks(file)];
      if (this.#table.here.covers(start, all)) this.#table.setHere(file);
      if (this.#table.durable.covers(start, all)) {
        this.#table.setDone(file);
        complete.push(file);
      } else {
        this.#addUnsettled(file);
      }
    }
    void this.#settler.unmark(complete).catch(this.#crashed.reject);
  }

  #addUnsettled(file: number): void {
    const { here, durable } = this.#table;
    const start = this.#table.start(file);
    const { end } = this.#table.allChunks(file);
    for (let chunk = 0; chunk < end; chunk += 1) {
      if (!here.has(start, chunk))
        this.#missingAtStart += Math.min(CHUNK_BYTES, this.#table.size(file) - chunk * CHUNK_BYTES);
      else if (!durable.has(start, chunk)) this.#settler.add(file, { first: chunk, end: chunk + 1 });
    }
  }

  /** @returns those that were deleted */
  #markAll(): Set<number> {
    const gone = new Set<number>();
    for (let file = 0; file < this.#table.count; file += 1) {
      if (this.#table.isDone(file)) continue;
      try {
        const fd = openHandle(this.#rootFd, this.#list.at(file).handle, O_PATH);
        markInode(this.#o.kept.group, fd);
        close(fd);
      } catch (error) {
        if (!isErrno(error, 'ESTALE')) throw error;
        gone.add(file);
      }
    }
    return gone;
  }

  async #tendHolders(besides: Partial<VolumeRecord> = {}): Promise<void> {
    const living = this.#record.holders.filter(isAlive);
    if (living.length === HOLDERS && Object.keys(besides).length === 0) return;
    const { kept, stateDir, launcher } = this.#o;
    const place = { stateDir, rootFd: this.#rootFd, launcher };
    const added = Array.from({ length: HOLDERS - living.length }, () => startHolder(kept, place));
    await this.#change({ ...besides, holders: [...living, ...added] });
  }

  async #change(change: Partial<VolumeRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change };
    // One that failed keeps none from being tried.
    this.#written = this.#written.catch(() => {}).then(() => writeRecord(this.#o.stateDir, this.#record));
    await this.#written;
  }

  async #control(request: ControlRequest): Promise<LazyStatus> {
    // Not before the first answer: what it takes to connect for the first time would keep this thread from the rest, and so the container from its start.
    setImmediate(() => this.#demandLink.connect());
    if (request.do === 'pause') {
      this.#copier.pause();
      await this.#change({ paused: true });
    } else if (request.do === 'resume') {
      this.#copier.resume();
      await this.#change({ paused: false });
    } else if (request.do === 'bwlimit') {
      this.#copier.limit(request.bytesPerSecond);
      await this.#change({ bwlimit: request.bytesPerSecond });
    } else if (request.do === 'rest') {
      this.#copier.rest(request.forMs);
    }
    return this.#status();
  }

  #status(): LazyStatus {
    const { phase, reason, paused, bwlimit } = this.#record;
    const { times, waiting, stranded, denied } = this.#misses;
    const trouble = [...this.#broken.values()];
    if (stranded > 0) trouble.unshift(`${stranded} accesses wait until everything is here: ${strandedReason}`);
    if (this.#fetcher.trouble !== null) trouble.unshift(this.#fetcher.trouble);
    return {
      ...{ phase, reason, paused, bwlimit, waiting: waiting + stranded, denied },
      files: this.#table.count,
      filesDone: this.#done,
      bytesMissing: Math.max(0, this.#missingAtStart - this.#fetcher.bytes),
      bytesFetched: this.#fetcher.bytes,
      waits: times.count,
      p50Ms: times.quantile(0.5),
      p99Ms: times.quantile(0.99),
      sourceAway: this.#demandLink.away ?? this.#bulkLink.away,
      trouble: trouble.slice(0, 20),
    };
  }
}

const strandedReason =
  'the hydrator was killed in the moment in which it was told of them, and nothing says which file they want.';
