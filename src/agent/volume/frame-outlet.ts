import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeHeader, type FrameHeader, frameKinds } from './frames.ts';
import type { Sealer } from './sealing.ts';
import { TokenBucket } from './token-bucket.ts';

type Frame = { header: Buffer; body: Uint8Array[] };

/** Writes whole frames to the socket, one after the other, at the allowed rate. */
export class FrameOutlet {
  readonly #socket: Duplex;
  readonly #sealer: Sealer | null;
  readonly #bucket: TokenBucket | null;
  readonly #closing = new AbortController();
  #last: Promise<void> = Promise.resolve();
  #isClosing = false;
  wroteAt = performance.now();

  constructor(socket: Duplex, sealer: Sealer | null, bwlimit: number | null) {
    this.#socket = socket;
    this.#sealer = sealer;
    this.#bucket = bwlimit === null ? null : new TokenBucket(bwlimit);
  }

  /** Resolves when the socket has taken the frame's last byte: the buffer may be used again. */
  send(header: FrameHeader, buffer: ArrayBuffer, dataStart: number): Promise<void> {
    const ops = new Uint8Array(buffer, 0, header.opsLength);
    const data = new Uint8Array(buffer, dataStart, header.dataLength);
    return this.#enqueue({ header: encodeHeader(header), body: [ops, data] });
  }

  ping(): void {
    const header = encodeHeader({ kind: frameKinds.ping, opsLength: 0, dataLength: 0 });
    this.#enqueue({ header, body: [] }).catch(() => {});
  }

  flushed(): Promise<void> {
    return this.#last;
  }

  /** Lets go of what is queued, hurries what is being written, writes a last frame where one may begin, and waits for that at most `limitMs`. */
  async close(header: FrameHeader, body: Uint8Array, limitMs: number): Promise<void> {
    this.#isClosing = true;
    this.#closing.abort();
    const sent = this.#last
      .catch(() => {})
      .then(() => this.#writeAll(this.#sealed({ header: encodeHeader(header), body: [body] })));
    const limit = new AbortController();
    await Promise.race([sent, delay(limitMs, undefined, { signal: limit.signal })]).catch(() => {});
    limit.abort();
  }

  #enqueue(frame: Frame): Promise<void> {
    const before = this.#last;
    const written = before.then(() => this.#write(frame));
    this.#last = written;
    written.catch(() => {});
    return written;
  }

  /** Only what is written at once may be sealed: the seals count the frames. */
  #sealed({ header, body }: Frame): Uint8Array[] {
    const seal = this.#sealer === null ? [] : [this.#sealer.seal(header, body)];
    return [header, ...body.filter((part) => part.length > 0), ...seal];
  }

  async #write(frame: Frame): Promise<void> {
    if (this.#isClosing) return;
    const parts = this.#sealed(frame);
    this.wroteAt = performance.now();
    if (this.#bucket === null) return await this.#writeAll(parts);
    for (const part of parts) {
      for (let at = 0; at < part.length; at += this.#bucket.pieceBytes) {
        const piece = part.subarray(at, at + this.#bucket.pieceBytes);
        if (!this.#isClosing) await this.#bucket.take(piece.length, this.#closing.signal).catch(() => {});
        this.wroteAt = performance.now();
        await this.#writeAll([piece]);
      }
    }
  }

  #writeAll(parts: Uint8Array[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.cork();
    parts.forEach((part, index) => {
      const isLast = index === parts.length - 1;
      this.#socket.write(part, isLast ? (error) => (error ? reject(error) : resolve()) : undefined);
    });
    this.#socket.uncork();
    return promise;
  }
}
