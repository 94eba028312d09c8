import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ContentEvent } from '../../linux/fanotify.ts';

/** 0 u32 live, 4 u32 mask, 8 i32 thread, 16 f64 inode, 24 f64 offset, 32 f64 length. */
const RECORD_BYTES = 40;
const LIVE = 1;

/** An event that a hydrator had read and not answered when it was lost. `event.fd` is its number, no descriptor. */
export type Ghost = { event: ContentEvent; inode: number };

/**
 * The events that were read and not answered, each at the place of its number, so that the next hydrator can answer them: the
 * kernel lists them to nobody. It needs to outlive a process, not a power cut, so nothing is synced.
 */
export class InFlight implements Disposable {
  readonly #fd: number;
  readonly #record = Buffer.alloc(RECORD_BYTES);
  readonly #none = Buffer.alloc(4);

  constructor(stateDir: string) {
    this.#fd = openSync(join(stateDir, 'in-flight'), constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  add(event: ContentEvent, inode: number): void {
    const bytes = this.#record;
    bytes.writeUInt32LE(LIVE, 0);
    bytes.writeUInt32LE(event.mask, 4);
    bytes.writeInt32LE(event.tid, 8);
    bytes.writeDoubleLE(inode, 16);
    bytes.writeDoubleLE(event.offset, 24);
    bytes.writeDoubleLE(event.length, 32);
    writeSync(this.#fd, bytes, 0, RECORD_BYTES, event.fd * RECORD_BYTES);
  }

  /** After the answer, and before the number is given back. */
  remove(number: number): void {
    writeSync(this.#fd, this.#none, 0, 4, number * RECORD_BYTES);
  }

  ghosts(): Ghost[] {
    const ghosts: Ghost[] = [];
    const bytes = this.#record;
    for (let number = 0; readSync(this.#fd, bytes, 0, RECORD_BYTES, number * RECORD_BYTES) > 0; number += 1) {
      if (bytes.readUInt32LE(0) !== LIVE) continue;
      const [mask, tid] = [bytes.readUInt32LE(4), bytes.readInt32LE(8)];
      const event = { mask, tid, fd: number, offset: bytes.readDoubleLE(24), length: bytes.readDoubleLE(32) };
      ghosts.push({ event, inode: bytes.readDoubleLE(16) });
    }
    return ghosts;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
