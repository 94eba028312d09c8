/** Lets bytes through at a rate that may change while somebody waits; null: at once. */
export class Pace {
  #bytesPerSecond: number | null = null;
  /** When the next byte may go, in the time of performance.now(). */
  #next = 0;
  #changed = Promise.withResolvers<void>();

  set(bytesPerSecond: number | null): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#next = performance.now();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Returns once the bytes that were let through before are paid for, and counts these. */
  async take(bytes: number): Promise<void> {
    while (this.#bytesPerSecond !== null) {
      const wait = this.#next - performance.now();
      if (wait <= 0) {
        this.#next = performance.now() + (bytes / this.#bytesPerSecond) * 1000;
        return;
      }
      await this.#sleep(wait);
    }
  }

  async #sleep(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(milliseconds, 60_000));
    await Promise.race([promise, this.#changed.promise]);
    clearTimeout(timer);
  }
}
