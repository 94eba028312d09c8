import { setTimeout as delay } from 'node:timers/promises';
import type { Engine } from '../docker/index.ts';
import type { Cover } from './cover.ts';
import { volumeAt } from './staged-base.ts';

const POLL_MS = 50;
const using = new Set(['running', 'paused', 'restarting']);

/**
 * Ends every container that runs with one of these volumes, whoever started it: what is missing of them is about to read as
 * zeros, or does already. They must have been uncovered, so that none starts again.
 */
export async function endUsers(engine: Engine, covers: readonly Cover[], signal: AbortSignal): Promise<void> {
  const volumes = new Set(covers.map(({ data }) => volumeAt(data)));
  for (;;) {
    const users = (await engine.containers(signal)).filter(
      ({ State, Mounts }) =>
        using.has(State) && Mounts.some((mount) => mount.Type === 'volume' && volumes.has(mount.Name ?? '')),
    );
    if (users.length === 0) return;
    for (const { Id } of users) await engine.kill(Id, signal);
    await delay(POLL_MS, undefined, { signal });
  }
}
