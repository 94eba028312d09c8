import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { type Heartbeat, HeartbeatAnswer } from '../../api/host.ts';
import type { ServerClient } from './server-client.ts';

const INTERVAL_MS = 2_000;

/**
 * Tells the server every two seconds that this host lives, until the signal aborts. A server that is away is waited for;
 * only changes are logged.
 * @throws what `onRefusal` throws
 */
export async function keepBeating(options: {
  server: () => ServerClient;
  beat: (signal: AbortSignal) => Promise<Heartbeat>;
  onAnswer: (answer: HeartbeatAnswer) => void | Promise<void>;
  /** Told of every heartbeat that failed. */
  onRefusal: (error: CargoError) => Promise<void>;
  log: Logger;
  signal: AbortSignal;
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
    const heartbeat = await options.beat(options.signal);
    await options.onAnswer(await options.server().post('/v1/heartbeat', heartbeat, HeartbeatAnswer, options.signal));
    return { state: 'heard', error: null };
  } catch (thrown) {
    const error = CargoError.from(thrown);
    return { state: error.code, error };
  }
}
