import type { MessagePort } from 'node:worker_threads';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { FRAME_MAX_BYTES, type FrameKind, frameKinds } from './frames.ts';
import { type FromWorker, type RoundProgress, SIGNALS, STOP, type ToWorker } from './worker-messages.ts';

/** Enough to keep disk, hash and socket busy at the same time; it bounds what a round holds in memory. */
const SEND_BUFFERS = 6;

/** A received frame; the views are valid until it is released. */
export type Frame = { kind: FrameKind; ops: Buffer; data: Buffer; buffer: ArrayBuffer };

/** Thrown inside the worker when the main thread has ended the round. */
export class Stopped extends Error {}

/**
 * The worker's end of the socket. The worker is synchronous through and through: it sleeps in Atomics.wait until the
 * main thread has a frame for it or gives a send buffer back.
 */
export class Link {
  readonly #port: MessagePort;
  readonly #control: Int32Array;
  readonly #frames: Frame[] = [];
  readonly #buffers: ArrayBuffer[] = [];
  #made = 0;

  constructor(port: MessagePort, control: Int32Array) {
    this.#port = port;
    this.#control = control;
  }

  throwIfStopped(): void {
    if (Atomics.load(this.#control, STOP) !== 0) throw new Stopped();
  }

  /** A buffer of FRAME_MAX_BYTES to fill; waits while all of them are on their way to the peer. */
  acquire(): ArrayBuffer {
    this.throwIfStopped();
    if (this.#buffers.length === 0 && this.#made < SEND_BUFFERS) {
      this.#made += 1;
      return new ArrayBuffer(FRAME_MAX_BYTES);
    }
    return this.#waitFor(this.#buffers);
  }

  /** Sends an acquired buffer: ops at its start, `dataLength` bytes of data from `dataStart`. */
  send(kind: FrameKind, buffer: ArrayBuffer, opsLength: number, dataStart: number, dataLength: number): void {
    const header = { kind, opsLength, dataLength };
    this.#post({ type: 'send', header, buffer, dataStart, pooled: true }, [buffer]);
  }

  sendControl(kind: FrameKind, value: unknown): void {
    const text = Buffer.from(JSON.stringify(value));
    const buffer = new ArrayBuffer(text.length);
    new Uint8Array(buffer).set(text);
    const header = { kind, opsLength: text.length, dataLength: 0 };
    this.#post({ type: 'send', header, buffer, dataStart: text.length, pooled: false }, [buffer]);
  }

  /** The next frame, in the order of the socket. */
  receive(): Frame {
    return this.#waitFor(this.#frames);
  }

  /** The next frame, which must be a control frame of this kind and shape. */
  receiveControl<S extends z.ZodType>(kind: FrameKind, schema: S): z.infer<S> {
    const frame = this.receive();
    if (frame.kind !== kind) throw unexpectedFrame(frame.kind);
    const value = parseControl(frame, schema);
    this.release(frame);
    return value;
  }

  release(frame: Frame): void {
    this.#post({ type: 'consumed', buffer: frame.buffer }, [frame.buffer]);
  }

  /** The totals were estimated before the files were read: what is done never shows as more. */
  report({ filesDone, filesTotal, bytesDone, bytesTotal }: RoundProgress): void {
    const done = { filesDone: Math.min(filesDone, filesTotal), bytesDone: Math.min(bytesDone, bytesTotal) };
    this.#post({ type: 'progress', progress: { ...done, filesTotal, bytesTotal } });
  }

  /** Much was written since the last time: the disk may begin with it. */
  reportDirty(): void {
    this.#post({ type: 'dirty' });
  }

  #post(message: FromWorker, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer);
  }

  #waitFor<T>(queue: T[]): T {
    while (true) {
      this.throwIfStopped();
      const seen = Atomics.load(this.#control, SIGNALS);
      this.#drain();
      const first = queue.shift();
      if (first !== undefined) return first;
      Atomics.wait(this.#control, SIGNALS, seen, 1000);
    }
  }

  #drain(): void {
    for (let received = receiveMessageOnPort(this.#port); received; received = receiveMessageOnPort(this.#port)) {
      const message: ToWorker = received.message;
      if (message.type === 'returned') {
        this.#buffers.push(message.buffer);
      } else {
        const { kind, opsLength, dataLength } = message.header;
        const ops = Buffer.from(message.buffer, 0, opsLength);
        const data = Buffer.from(message.buffer, opsLength, dataLength);
        this.#frames.push({ kind, ops, data, buffer: message.buffer });
      }
    }
  }
}

export function parseControl<S extends z.ZodType>(frame: Frame, schema: S): z.infer<S> {
  try {
    return schema.parse(JSON.parse(frame.ops.toString('utf8')));
  } catch (cause) {
    throw new CargoError('PROTOCOL_ERROR', 'The other agent sent a control frame that this one does not understand.', {
      cause,
    });
  }
}

export function unexpectedFrame(kind: FrameKind): CargoError {
  const name = Object.entries(frameKinds).find(([, value]) => value === kind)?.[0] ?? String(kind);
  return new CargoError('PROTOCOL_ERROR', `The other agent sent a frame "${name}" out of turn.`);
}
