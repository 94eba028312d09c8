import { setTimeout as delay } from 'node:timers/promises';
import type { Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { closeGate, notAside } from './gate.ts';
import { targetOf } from './records.ts';

const POLL_MS = 50;

/**
 * Ends a container that must not run on this host any more. The gate first: nobody can start it again once it has ended.
 * Where the layer has none of its own to stand aside, as before its first start in some stores, ending it is all.
 */
export async function shutDown(engine: Engine, containerId: string, context: StepContext): Promise<void> {
  await closeGate(await notAside(targetOf(context).gate));
  for (;;) {
    const container = await engine.findContainer(containerId, context.signal);
    if (container === null || !container.State.Running) return;
    await engine.kill(containerId, context.signal);
    await delay(POLL_MS, undefined, { signal: context.signal });
  }
}
