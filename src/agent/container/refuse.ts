import type { StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { definitionOf, targetOf, updateTarget } from './records.ts';
import { shutDown } from './shut-down.ts';
import { start } from './start.ts';

/** For a container whose start nobody saw the end of; as long as the longest that a start is waited for. */
const HEALTH_TIMEOUT_MS = 900_000;

/**
 * Refuses the permit for ever, durable on return: from then on nothing starts the container here. Where the permit was
 * used, a container that came up and isn't well may run on: its gate closes and it is killed before this is answered,
 * for the source starts then. Docker isn't needed unless the permit was used.
 * @throws CargoError TARGET_STARTED when the container has come up here: from then on the data here is the newer one; SUSPECT
 * when it was stopped here since, for what it may have read: an operator decides which data counts
 */
export async function refuse(engine: Engine, context: StepContext): Promise<StepOutput<'refuse'>> {
  if (context.record().target !== null && (await hasStarted(engine, context))) {
    throw new CargoError(
      'TARGET_STARTED',
      'the container has been started on the target host: it can only go on there',
    );
  }
  const { permit, containerId } = targetOf(context);
  await updateTarget(context, () => ({ permit: 'refused', held: false }));
  if (permit !== 'unused' && containerId !== null) await shutDown(engine, containerId, context);
  return {};
}

/**
 * Whether the permit was used and the container lives by it. Where no outcome of `start` says so, because the agent or
 * Docker went away meanwhile, a container that runs may have served its clients already: it is given the time to be well.
 */
async function hasStarted(engine: Engine, context: StepContext): Promise<boolean> {
  const { permit, containerId, lazy } = targetOf(context);
  const outcome = context.record().outcomes['start'];
  if (outcome?.state === 'done') return true;
  if (permit !== 'used' || containerId === null || outcome?.error?.code === 'CONTAINER_UNHEALTHY') return false;
  if (lazy.some(({ suspect }) => suspect)) throw suspectHere(context);
  const container = await engine.findContainer(containerId, context.signal);
  if (!container?.State.Running) return false;
  try {
    await start(engine, context, { healthTimeoutMs: HEALTH_TIMEOUT_MS });
    return true;
  } catch (thrown) {
    if (thrown instanceof CargoError && thrown.code === 'CONTAINER_UNHEALTHY') return false;
    throw thrown;
  }
}

function suspectHere(context: StepContext): CargoError {
  const { name } = definitionOf(context);
  return new CargoError('SUSPECT', `${name} ran here, and was stopped, for it may have seen wrong data`);
}
