import type { StepOutput } from '../../api/agent-steps.ts';
import type { Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { letGo } from './hold.ts';
import type { LazyMounts } from './lazy-mounts.ts';
import { removeUsedUp } from './used-up.ts';

/**
 * The migration is over: what `start` could not tidy up goes now. A container that is held since a boot is let go first: nobody
 * would afterwards.
 */
export async function finish(engine: Engine, lazy: LazyMounts, context: StepContext): Promise<StepOutput<'finish'>> {
  await letGo(engine, lazy, context);
  await removeUsedUp(engine, context);
  return {};
}
