import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../src/api/cargo-error.ts';

/**
 * Asks again and again until the answer is something. Every wait of the lab ends here, so each has a limit.
 * @throws CargoError TIMED_OUT, with what was awaited.
 */
export async function waitUntil<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | undefined> | T | undefined,
  everyMs = 50,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() >= deadline) throw new CargoError('TIMED_OUT', `waited ${limitMs} ms in vain until ${what}`);
    await delay(everyMs);
  }
}
