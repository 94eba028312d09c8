/**
 * Memory for the bodies of large frames, which is given back and used again: a new megabyte for each is work for the
 * garbage collector that takes longer than reading and writing it. Of those smaller than half of it many may be under way, each
 * with no more than it needs.
 */
export class BodyMemory {
  readonly #bytes: number;
  readonly #most: number;
  readonly #free: ArrayBuffer[] = [];

  /** Of up to `bytes` each, `most` of which are kept. */
  constructor(bytes: number, most: number) {
    this.#bytes = bytes;
    this.#most = most;
  }

  /** Not cleared. Whoever takes it and doesn't give it back leaves it to the garbage collector. */
  take(length: number): Buffer {
    if (length < this.#bytes / 2 || length > this.#bytes) return Buffer.allocUnsafe(length);
    return Buffer.from(this.takeWhole(), 0, length);
  }

  /** All `bytes` of it, to be handed to another thread. */
  takeWhole(): ArrayBuffer {
    return this.#free.pop() ?? new ArrayBuffer(this.#bytes);
  }

  /** By its only owner, who does not look at it any more; once. What was not taken here is let go of. */
  give({ buffer }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== this.#bytes) return;
    if (this.#free.includes(buffer)) throw new Error('memory is given back twice');
    if (this.#free.length < this.#most) this.#free.push(buffer);
  }
}
