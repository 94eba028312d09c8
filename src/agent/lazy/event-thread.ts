import { type MessagePort, parentPort } from 'node:worker_threads';
import { answerEvent, type ContentEvent, isOpening, parseEvents, readEvents } from '../../linux/fanotify.ts';
import { isErrno } from '../../linux/libc.ts';
import { close } from '../../linux/open.ts';
import { Stat } from '../../linux/stat.ts';
import { type Demand, demandOf, WHOLE_AT_OPEN_BYTES } from './demand.ts';
import type { EventThreadData, Miss, Opened } from './event-messages.ts';
import { FileTable } from './file-table.ts';
import { chunksNeeded, isFulfilled } from './fulfilment.ts';
import { HiddenMounts } from './hidden-mounts.ts';
import { InFlight } from './in-flight.ts';
import { OpenNames } from './open-names.ts';

const PAUSE_MS = 10;

type Noted = Pick<Miss, 'event' | 'file'>;

/**
 * Reads events and answers those whose content is here; all others go to the main thread. It never opens, writes to or
 * truncates a file of the volume: nobody could answer it then.
 */
class EventThread {
  readonly #port: MessagePort;
  readonly #group: number;
  readonly #table: FileTable;
  readonly #inFlight: InFlight;
  readonly #stat = new Stat();
  readonly #names = new OpenNames();
  readonly #hidden = new HiddenMounts();

  constructor(port: MessagePort, { group, inFlight, table }: EventThreadData) {
    this.#port = port;
    this.#group = group;
    this.#table = new FileTable(table);
    this.#inFlight = new InFlight(inFlight);
  }

  /** Never returns: the process ends under it. */
  run(): never {
    const { arrivals } = this.#inFlight;
    while (true) {
      const length = this.#wait(arrivals);
      const noted = this.#noted(arrivals.subarray(0, length));
      this.#inFlight.clearArrivals(length);
      for (const miss of noted) this.#handle(miss);
    }
  }

  /**
   * An error is about one event that the kernel could not hand over, and has refused by itself (no descriptor left, the
   * file unlinked on a network file system, …): the others go on.
   */
  #wait(buffer: Buffer): number {
    try {
      return readEvents(this.#group, buffer);
    } catch (error) {
      if (isErrno(error, 'EBADF', 'EFAULT', 'EINVAL')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
      return 0;
    }
  }

  /** Answers our own at once, and writes the others down before anything is done about any of them. */
  #noted(bytes: Buffer): Noted[] {
    const foreign: Noted[] = [];
    for (const event of parseEvents(bytes)) {
      if (event.fd < 0) continue;
      if (event.tid === process.pid) {
        answerEvent(this.#group, event.fd, true);
        close(event.fd);
        continue;
      }
      const file = this.#table.find(this.#stat.readFd(event.fd));
      this.#inFlight.add(event, file);
      foreign.push({ event, file });
    }
    return foreign;
  }

  #handle({ event, file }: Noted): void {
    const table = this.#table;
    // A mark on something that is no placeholder can't be; an error is safer than content that nobody vouches for.
    const mayBeLetOpen = file >= 0 && isOpening(event) && !table.isHere(file) && table.size(file) > WHOLE_AT_OPEN_BYTES;
    const hasOtherNames = mayBeLetOpen && this.#names.areMore(file, event.fd);
    const isHidden = file >= 0 && isOpening(event) && !table.isDone(file) && this.#hidden.has(event.fd, event.tid);
    const isDone = file >= 0 && table.isDone(file);
    const demand = file < 0 || isDone ? null : this.#demand(event, file, { hasOtherNames, isHidden });
    const isAllowed = isDone || (demand !== null && this.#isHere(event, file, demand));
    if (file >= 0 && !isAllowed) {
      this.#port.postMessage({ event, file, hasOtherNames, isHidden, demand } satisfies Miss);
      return;
    }
    answerEvent(this.#group, event.fd, isAllowed);
    this.#inFlight.remove(event.fd);
    const isKept = isAllowed && isOpening(event) && !table.isHere(file);
    if (isKept) this.#port.postMessage({ file, opened: event.fd } satisfies Opened);
    else close(event.fd);
  }

  #demand(event: ContentEvent, file: number, how: Pick<Miss, 'hasOtherNames' | 'isHidden'>): Demand | null {
    const table = this.#table;
    return demandOf(event, { size: table.size(file), isSparse: table.isSparse(file), ...how });
  }

  #isHere(event: ContentEvent, file: number, demand: Demand): boolean {
    const table = this.#table;
    if (!isFulfilled(table, file, demand, chunksNeeded(event, demand, table.size(file)))) return false;
    if (demand.durable) table.noteWrite(file);
    // The main thread answers once it has written: its change of the time and that of the process must not mix.
    return !(demand.durable && table.isBeingWritten(file));
  }
}

if (parentPort === null) throw new Error('this file runs in a worker thread');
const port = parentPort;
port.postMessage('loaded');
port.once('message', (data: EventThreadData) => {
  const thread = new EventThread(port, data);
  port.postMessage('ready');
  thread.run();
});
