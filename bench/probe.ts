import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from './workload.ts';

const PAUSE_MS = 10;

/** A client that only asks, as often as it is answered; after a failure it asks at the next place. */
export class Probe implements Client {
  readonly answers: { at: number }[] = [];
  readonly #stopped = new AbortController();
  readonly #ended: Promise<void>;

  constructor(places: readonly (() => Promise<unknown>)[]) {
    this.#ended = this.#run(places);
  }

  async answersAfter(moment: number, signal: AbortSignal): Promise<void> {
    while ((this.answers.at(-1)?.at ?? 0) <= moment) await sleep(PAUSE_MS, undefined, { signal });
  }

  async #run(places: readonly (() => Promise<unknown>)[]): Promise<void> {
    for (let place = 0; !this.#stopped.signal.aborted; await sleep(PAUSE_MS)) {
      try {
        await places[place % places.length]?.();
        this.answers.push({ at: performance.now() });
      } catch {
        place += 1; // it is elsewhere, or on its way
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#ended;
  }
}
