import type { StepOutput } from '../../api/agent-steps.ts';
import type { Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { removeUsedUp } from './used-up.ts';

/** The migration is over: what `start` could not tidy up goes now. */
export async function finish(engine: Engine, context: StepContext): Promise<StepOutput<'finish'>> {
  await removeUsedUp(engine, context);
  return {};
}
