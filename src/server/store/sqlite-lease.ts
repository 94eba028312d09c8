import { CargoError } from '../../api/cargo-error.ts';
import type { Lease } from './store.ts';

/** setTimeout counts in 32 bits. */
export const LONGEST_LEASE_MS = 2 ** 31 - 1;

/** A lease with its timer. `expire` is called once, when it ran out or was revoked. */
export class SqliteLease implements Lease {
  readonly id: string;
  readonly #ttlMs: number;
  readonly #expire: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(id: string, ttlMs: number, expire: () => void) {
    this.id = id;
    this.#ttlMs = ttlMs;
    this.#expire = expire;
    this.#arm();
  }

  async keepAlive(): Promise<void> {
    if (this.#timer === null) throw new CargoError('NOT_FOUND', `lease ${this.id} has run out`);
    this.#arm();
  }

  async revoke(): Promise<void> {
    this.#end();
  }

  /** Stops the timer and leaves the keys: a Store that opens the same file arms it anew. */
  suspend(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(), this.#ttlMs);
    this.#timer.unref();
  }

  #end(): void {
    if (this.#timer === null) return;
    this.suspend();
    this.#expire();
  }
}
