import { descriptorLimit } from '../../linux/descriptors.ts';
import { type ContentEvent, parseEvents } from '../../linux/fanotify.ts';
import { createSharedMemory, mapSharedMemory } from '../../linux/shared-memory.ts';

/** Into which the kernel writes the events that it hands out. */
const ARRIVALS_BYTES = 65_536;
/** Behind the arrivals: u32, above all numbers that ever had a record. What lies beyond was never touched, and takes no memory. */
const HEAD_BYTES = 8;
/** 0 u32 live, 4 u32 mask, 8 i32 thread, 12 i32 file, 16 f64 offset, 24 f64 length. */
const RECORD_BYTES = 32;
const LIVE = 1;
/** The name of the memory, by which a descriptor of it is known. */
const NAME = 'cargo-in-flight';
export const IN_FLIGHT_LINK = `/memfd:${NAME} (deleted)`;

/**
 * An event that a hydrator had read and not answered when it was lost. `event.fd` is its number, no descriptor. `file`: the placeholder's
 * number, NO_PLACEHOLDER, or NOT_LOOKED when the hydrator was lost before it could look.
 */
export type Ghost = { event: ContentEvent; file: number };
export const NO_PLACEHOLDER = -1;
export const NOT_LOOKED = -2;

/**
 * The events that were read and not answered. The kernel lists them to nobody, and an answer goes by number alone: the next
 * hydrator has to know every one. So they are in memory that the holders keep together with the group, and the kernel writes
 * into that memory itself (`arrivals`): there is no moment at which an event was handed out and is not in there. From there
 * each is copied to the place of its number, with the file that it is about.
 */
export class InFlight {
  readonly #memory: Buffer;
  /** For read(2) on the group. */
  readonly arrivals: Buffer;

  /** A descriptor of such memory, empty. */
  static create(): number {
    return createSharedMemory(NAME);
  }

  constructor(fd: number) {
    this.#memory = mapSharedMemory(fd, place(descriptorLimit()), ARRIVALS_BYTES);
    this.arrivals = this.#memory.subarray(0, ARRIVALS_BYTES);
  }

  /** Once all that arrived, so many bytes, was added or answered. The length of the first event says that there is any. */
  clearArrivals(length: number): void {
    this.arrivals.writeUInt32LE(0, 0);
    this.arrivals.fill(0, 0, length);
  }

  /** `file` as in Ghost. */
  add(event: ContentEvent, file: number): void {
    const at = place(event.fd);
    if (event.fd >= this.#end) this.#memory.writeUInt32LE(event.fd + 1, ARRIVALS_BYTES);
    this.#memory.writeUInt32LE(event.mask, at + 4);
    this.#memory.writeInt32LE(event.tid, at + 8);
    this.#memory.writeInt32LE(file, at + 12);
    this.#memory.writeDoubleLE(event.offset, at + 16);
    this.#memory.writeDoubleLE(event.length, at + 24);
    this.#memory.writeUInt32LE(LIVE, at);
  }

  /** After the answer, and before the number is given back. */
  remove(number: number): void {
    this.#memory.writeUInt32LE(0, place(number));
  }

  /** What the hydrator before this one left; call it before anything is read from the group. */
  ghosts(): Ghost[] {
    const known = this.#records();
    const numbers = new Set(known.map(({ event }) => event.fd));
    const arrived = this.#arrived();
    for (const event of parseEvents(arrived)) {
      if (event.fd < 0 || numbers.has(event.fd)) continue;
      this.add(event, NOT_LOOKED);
      known.push({ event, file: NOT_LOOKED });
    }
    this.clearArrivals(arrived.length);
    return known;
  }

  get #end(): number {
    return this.#memory.readUInt32LE(ARRIVALS_BYTES);
  }

  #records(): Ghost[] {
    const memory = this.#memory;
    const ghosts: Ghost[] = [];
    for (let number = 0; number < this.#end; number += 1) {
      const at = place(number);
      if (memory.readUInt32LE(at) !== LIVE) continue;
      const [mask, tid] = [memory.readUInt32LE(at + 4), memory.readInt32LE(at + 8)];
      const event = {
        mask,
        tid,
        fd: number,
        offset: memory.readDoubleLE(at + 16),
        length: memory.readDoubleLE(at + 24),
      };
      ghosts.push({ event, file: memory.readInt32LE(at + 12) });
    }
    return ghosts;
  }

  /** The events that arrived last, up to where there are no more. */
  #arrived(): Buffer {
    let end = 0;
    while (end + 4 <= ARRIVALS_BYTES && this.arrivals.readUInt32LE(end) !== 0) end += this.arrivals.readUInt32LE(end);
    return this.arrivals.subarray(0, end);
  }
}

function place(number: number): number {
  return ARRIVALS_BYTES + HEAD_BYTES + number * RECORD_BYTES;
}
