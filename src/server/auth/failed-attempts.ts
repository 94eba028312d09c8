import { isIPv6 } from 'node:net';
import { CargoError } from '../../api/cargo-error.ts';

/** So many failures in a row are forgiven, and one more each so many ms. */
const FORGIVEN = 10;
const FORGIVEN_EACH_MS = 6_000;
/** Of so many addresses the failures are remembered; the address that failed longest ago is forgotten first. */
const ADDRESSES = 10_000;

type Failures = { count: number; sinceMs: number };

/**
 * Failed tokens by the address that they came from. Who fails too often must wait, with a right token too: whoever
 * shares the address with somebody who guesses can't be told from him. Other addresses don't notice.
 */
export class FailedAttempts {
  readonly #now: () => number;
  readonly #failures = new Map<string, Failures>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** To be called before a token is looked at. @throws CargoError TOO_MANY_ATTEMPTS */
  refuseIfTooMany(address: string): void {
    const { count, sinceMs } = this.#current(networkOf(address));
    if (count < FORGIVEN) return;
    const waitMs = (count - FORGIVEN + 1) * FORGIVEN_EACH_MS - (this.#now() - sinceMs);
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1_000));
    throw new CargoError(
      'TOO_MANY_ATTEMPTS',
      `too many wrong tokens came from this address: try again in ${retryAfterSeconds} s`,
      { details: { retryAfterSeconds } },
    );
  }

  failed(address: string): void {
    const key = networkOf(address);
    const { count, sinceMs } = this.#current(key);
    this.#failures.delete(key);
    this.#failures.set(key, { count: count + 1, sinceMs });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > ADDRESSES && oldest !== undefined) this.#failures.delete(oldest);
  }

  /** What is left of the failures after those that time has forgiven. */
  #current(key: string): Failures {
    const nowMs = this.#now();
    const known = this.#failures.get(key);
    if (known === undefined) return { count: 0, sinceMs: nowMs };
    const forgiven = Math.floor((nowMs - known.sinceMs) / FORGIVEN_EACH_MS);
    if (forgiven >= known.count) return { count: 0, sinceMs: nowMs };
    return { count: known.count - forgiven, sinceMs: known.sinceMs + forgiven * FORGIVEN_EACH_MS };
  }
}

/** Of IPv6 the first 64 bits: who has one address there has all that share them. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const groups = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  if (tail !== undefined) groups.push(...Array(Math.max(0, 8 - groups.length - after.length)).fill('0'));
  return [...groups, ...after]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
