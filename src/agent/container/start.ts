import { setTimeout as delay } from 'node:timers/promises';
import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import { reach } from '../../faults/reach.ts';
import type { ContainerInspect, Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { openGate, stagedGate } from './gate.ts';
import { lastLogLines } from './log-lines.ts';
import { definitionOf, targetOf, updateTarget } from './records.ts';
import { removeUsedUp } from './used-up.ts';

const POLL_MS = 100;
/** How long a container without a health check must keep running before its start counts. */
const STEADY_MS = 1000;

/**
 * Starts the container with the one permit, which is persisted as used before Docker hears of it. Good is: healthy,
 * where there is a health check; else still running, and not restarted, a second after it came up. `startMs` ends when
 * it was healthy or running: the second of watching is not part of it, because the container serves meanwhile.
 */
export async function start(
  engine: Engine,
  context: StepContext,
  input: StepInput<'start'>,
): Promise<StepOutput<'start'>> {
  const { containerId, permit, restartPolicy, gate } = targetOf(context);
  if (permit === 'refused') {
    throw new CargoError('PERMIT_REFUSED', 'this migration was abandoned: the container must not start on this host');
  }
  if (containerId === null) throw new CargoError('WRONG_PHASE', 'there is no container to start: stage comes first');
  await updateTarget(context, () => ({ permit: 'used', held: false }));
  await reach('target.start.permit-used');
  await openGate(gate.length > 0 ? gate : await stagedGate(engine, containerId, context));
  await reach('target.start.gate-open');
  const result = definitionOf(context).running
    ? await startAndWatch(engine, containerId, input.healthTimeoutMs, context.signal)
    : ({ running: false, health: 'none', startMs: 0, upMs: null } as const);
  await engine.setRestartPolicy(containerId, restartPolicy ?? { Name: 'no' }, context.signal);
  await tidyUp(engine, context);
  return result;
}

/** The container runs and is the owner of its data: leftovers that resist are no reason to call that a failure. */
async function tidyUp(engine: Engine, context: StepContext): Promise<void> {
  try {
    await removeUsedUp(engine, context);
  } catch (thrown) {
    context.signal.throwIfAborted();
    context.log.warn({ err: thrown }, 'what the container left here when it moved away is still here');
  }
}

async function startAndWatch(
  engine: Engine,
  id: string,
  healthTimeoutMs: number,
  signal: AbortSignal,
): Promise<StepOutput<'start'>> {
  const began = performance.now();
  await engine.start(id, signal);
  await reach('target.start.started');
  let inspect = await engine.inspect(id, signal);
  const health = hasHealthCheck(inspect) ? 'healthy' : 'none';
  const up = performance.now();
  const untilMs = health === 'none' ? STEADY_MS : healthTimeoutMs;
  while (inspect.State.Health?.Status !== 'healthy') {
    if (!isUp(inspect)) throw await unhealthy(engine, inspect, 'ended right after its start', signal);
    if (inspect.State.Health?.Status === 'unhealthy') throw await unhealthy(engine, inspect, 'is unhealthy', signal);
    if (performance.now() - up >= untilMs) break;
    await delay(POLL_MS, undefined, { signal });
    inspect = await engine.inspect(id, signal);
  }
  const settled = performance.now();
  const upMs = up - began;
  if (health === 'none') return { running: true, health, startMs: upMs, upMs };
  if (inspect.State.Health?.Status === 'healthy') return { running: true, health, startMs: settled - began, upMs };
  throw await unhealthy(engine, inspect, `was not healthy within ${healthTimeoutMs} ms`, signal);
}

function isUp({ State, RestartCount }: ContainerInspect): boolean {
  return State.Running && !State.Restarting && RestartCount === 0;
}

function hasHealthCheck({ State }: ContainerInspect): boolean {
  return State.Health !== undefined && State.Health !== null && State.Health.Status !== 'none';
}

async function unhealthy(
  engine: Engine,
  inspect: ContainerInspect,
  what: string,
  signal: AbortSignal,
): Promise<CargoError> {
  const { State, Id } = inspect;
  const health = State.Health?.Log?.at(-1)?.Output.trim() ?? null;
  const log = await lastLogLines(engine, Id, signal);
  const hint = health ?? log.at(-1) ?? State.Error;
  const message = `the container ${what} on the target host (exit code ${State.ExitCode})${hint ? `: ${hint}` : ''}`;
  return new CargoError('CONTAINER_UNHEALTHY', message, {
    details: { exitCode: State.ExitCode, oomKilled: State.OOMKilled, health, log },
  });
}
