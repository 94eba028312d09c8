import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { emptySource } from './records.ts';

/** From now on the target host may fetch this container's image and data. */
export async function serve(context: StepContext, input: StepInput<'serve'>): Promise<StepOutput<'serve'>> {
  await context.update((record) => ({
    ...record,
    definition: input.definition,
    peer: { hostId: input.targetHostId, name: null, address: null },
    source: { ...(record.source ?? emptySource), serving: true },
  }));
  return {};
}
