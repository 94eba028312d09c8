import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { type Heartbeat, HeartbeatAnswer } from '../../api/host.ts';
import type { ServerClient } from './server-client.ts';

const INTERVAL_MS = 2_000;
/**
 * The server calls a host away, and an operator may give it up, 6 s after its last heartbeat came. An answer that took
 * this long may be older than such a decision: nothing is started for it.
 */
const FRESH_MS = 4_000;

/**
 * Tells the server every two seconds that this host lives, until the signal aborts. A server that is away is waited for;
 * only changes are logged.
 * @throws what `onRefusal` throws
 */
export async function keepBeating(options: {
  server: () => Pick<ServerClient, 'post'>;
  beat: (signal: AbortSignal) => Promise<Heartbeat>;
  onAnswer: (answer: HeartbeatAnswer) => void | Promise<void>;
  /** Told of every heartbeat that failed. */
  onRefusal: (error: CargoError) => Promise<void>;
  log: Logger;
  signal: AbortSignal;
  /** ms, of a clock that nobody sets. */
  now?: () => number;
}): Promise<void> {
  const { log, signal } = options;
  let heard: string | null = null;
  while (!signal.aborted) {
    const startedAt = Date.now();
    const outcome = await beatOnce(options);
    if (signal.aborted) return;
    if (outcome.state !== heard) {
      heard = outcome.state;
      if (outcome.error === null) log.info('the server hears this host');
      else log.warn({ code: outcome.error.code, reason: outcome.error.message }, 'the server does not hear this host');
    }
    if (outcome.error !== null) await options.onRefusal(outcome.error);
    await delay(Math.max(0, startedAt + INTERVAL_MS - Date.now()), undefined, { signal }).catch(() => {});
  }
}

async function beatOnce(
  options: Parameters<typeof keepBeating>[0],
): Promise<{ state: string; error: CargoError | null }> {
  try {
    const { now = () => performance.now(), signal } = options;
    const heartbeat = await options.beat(signal);
    const sentAtMs = now();
    const answer = await options.server().post('/v1/heartbeat', heartbeat, HeartbeatAnswer, signal);
    const isFresh = now() - sentAtMs < FRESH_MS;
    await options.onAnswer(isFresh ? answer : { ...answer, mayRun: [] });
    return { state: 'heard', error: null };
  } catch (thrown) {
    const error = CargoError.from(thrown);
    return { state: error.code, error };
  }
}
