import { setTimeout as delay } from 'node:timers/promises';
import type { StepOutput } from '../../api/agent-steps.ts';
import { reach } from '../../faults/reach.ts';
import { type ContainerInspect, DEFAULT_STOP_SECONDS, type Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { openGate } from './gate.ts';
import { definitionOf, type Frozen, updateSource } from './records.ts';

const POLL_MS = 50;
const KILL_GRACE_MS = 5_000;

/** Undoes `freeze` and `serve` as far as they came. The container keeps its id, and runs again if it ran before. */
export async function thaw(engine: Engine, context: StepContext): Promise<StepOutput<'thaw'>> {
  const { source } = context.record();
  if (source?.frozen) await thawContainer(engine, source.frozen, context.signal);
  await updateSource(context, { serving: false, frozen: null });
  const { definition } = context.record();
  if (definition === null) return { running: false };
  const inspect = await engine.findContainer(definitionOf(context).id, context.signal);
  return { running: inspect?.State.Running ?? false };
}

/** The order is that of `freeze`, backwards; whatever was not done is not undone. A container that was removed is gone. */
export async function thawContainer(engine: Engine, frozen: Frozen, signal: AbortSignal): Promise<void> {
  await openGate(frozen.movedAside);
  await reach('source.thaw.gate-open');
  const inspect = await engine.findContainer(frozen.containerId, signal);
  if (inspect === null) return;
  if (inspect.Name !== `/${frozen.originalName}`) {
    await engine.rename(frozen.containerId, frozen.originalName, signal);
  }
  if (frozen.stopping) await untilStopped(engine, inspect, frozen.startedAt, signal);
  await engine.setRestartPolicy(frozen.containerId, frozen.restartPolicy, signal);
  if (frozen.wasRunning) await engine.start(frozen.containerId, signal);
}

/**
 * A stop that was given up goes on in Docker: a container that is started before it has ended is down for good a moment
 * later. One that still runs when Docker's patience must have ended was never asked to stop.
 */
async function untilStopped(
  engine: Engine,
  { Id, Config }: ContainerInspect,
  startedAt: string,
  signal: AbortSignal,
): Promise<void> {
  const seconds = Config.StopTimeout ?? DEFAULT_STOP_SECONDS;
  const giveUpMs = seconds < 0 ? Number.POSITIVE_INFINITY : performance.now() + seconds * 1000 + KILL_GRACE_MS;
  while (performance.now() < giveUpMs) {
    const { State } = await engine.inspect(Id, signal);
    if (!State.Running || State.StartedAt !== startedAt) return;
    await delay(POLL_MS, undefined, { signal });
  }
}
