import { mkdir, open } from 'node:fs/promises';
import { tryLockExclusive } from '../src/linux/flock.ts';

const LOCKS = '/run/lock';

/** A name for a lab that no other demo on this machine has, until the scope ends. */
export type Turn = AsyncDisposable & { name: string };

/**
 * The first of `demo`, `demo-2`, … that is free. A demo that was killed gives its name back, so that the next one clears
 * what it left.
 */
export async function takeTurn(): Promise<Turn> {
  await mkdir(LOCKS, { recursive: true });
  for (let turn = 1; ; turn++) {
    const name = turn === 1 ? 'demo' : `demo-${turn}`;
    const lock = await open(`${LOCKS}/cargo-${name}.lock`, 'w', 0o600);
    if (tryLockExclusive(lock.fd)) return { name, [Symbol.asyncDispose]: () => lock.close() };
    await lock.close();
  }
}
