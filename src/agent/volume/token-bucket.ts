import { setTimeout as delay } from 'node:timers/promises';

/** Lets bytes through at a mean rate; up to a quarter of a second's worth may go at once. */
export class TokenBucket {
  readonly #bytesPerSecond: number;
  #tokens: number;
  #filledAt = performance.now();

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#tokens = bytesPerSecond / 4;
  }

  /** How much to send between two waits, so that the flow is even. */
  get pieceBytes(): number {
    return Math.max(1024, Math.floor(this.#bytesPerSecond / 8));
  }

  /** Returns once `bytes` may be sent. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const earned = ((now - this.#filledAt) / 1000) * this.#bytesPerSecond;
    this.#tokens = Math.min(this.#bytesPerSecond / 4, this.#tokens + earned) - bytes;
    this.#filledAt = now;
    if (this.#tokens < 0) await delay((-this.#tokens / this.#bytesPerSecond) * 1000, undefined, { signal });
  }
}
