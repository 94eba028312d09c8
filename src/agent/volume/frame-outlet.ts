import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeHeader, type FrameHeader, frameKinds } from './frames.ts';
import { TokenBucket } from './token-bucket.ts';

/** Writes whole frames to the socket, one after the other, at the allowed rate. */
export class FrameOutlet {
  readonly #socket: Duplex;
  readonly #bucket: TokenBucket | null;
  readonly #closing = new AbortController();
  #last: Promise<void> = Promise.resolve();
  #isClosing = false;
  wroteAt = performance.now();

  constructor(socket: Duplex, bwlimit: number | null) {
    this.#socket = socket;
    this.#bucket = bwlimit === null ? null : new TokenBucket(bwlimit);
  }

  /** Resolves when the socket has taken the frame's last byte: the buffer may be used again. */
  send(header: FrameHeader, buffer: ArrayBuffer, dataStart: number): Promise<void> {
    const ops = new Uint8Array(buffer, 0, header.opsLength);
    const data = new Uint8Array(buffer, dataStart, header.dataLength);
    return this.#enqueue([encodeHeader(header), ops, data]);
  }

  ping(): void {
    this.#enqueue([encodeHeader({ kind: frameKinds.ping, opsLength: 0, dataLength: 0 })]).catch(() => {});
  }

  flushed(): Promise<void> {
    return this.#last;
  }

  /** Lets go of what is queued, hurries what is being written, writes `farewell` where a frame may begin, and waits for that at most `limitMs`. */
  async close(farewell: Uint8Array, limitMs: number): Promise<void> {
    this.#isClosing = true;
    this.#closing.abort();
    const sent = this.#last.catch(() => {}).then(() => this.#writeAll([farewell]));
    const limit = new AbortController();
    await Promise.race([sent, delay(limitMs, undefined, { signal: limit.signal })]).catch(() => {});
    limit.abort();
  }

  #enqueue(parts: Uint8Array[]): Promise<void> {
    const before = this.#last;
    const written = before.then(() => this.#write(parts.filter((part) => part.length > 0)));
    this.#last = written;
    written.catch(() => {});
    return written;
  }

  async #write(parts: Uint8Array[]): Promise<void> {
    if (this.#isClosing) return;
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
