import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';

export type RetryLimits = {
  /** How long a failure that a retry may mend is retried; Infinity: until the signal aborts. */
  forMs: number;
  signal: AbortSignal;
  /** Which failures a retry may mend; unless said otherwise those of the catalogue that say so. */
  mayPass?: (error: CargoError) => boolean;
  /** Told before each wait. */
  onRetry?: (error: CargoError, attempt: number) => Promise<void>;
};

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;

/** Runs `work` until it succeeds, fails for good, or the limit has passed since the first failure. */
export async function retrying<T>(work: () => Promise<T>, limits: RetryLimits): Promise<T> {
  const mayPass = limits.mayPass ?? ((error: CargoError) => error.handling.retry);
  let firstFailureMs: number | null = null;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (thrown) {
      limits.signal.throwIfAborted();
      const error = CargoError.from(thrown);
      firstFailureMs ??= Date.now();
      if (!mayPass(error) || Date.now() - firstFailureMs >= limits.forMs) throw error;
      await limits.onRetry?.(error, attempt);
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));
      await delay(waitMs, undefined, { signal: limits.signal });
    }
  }
}
