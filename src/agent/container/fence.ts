import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import type { Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { clearStaged, stagedContainer } from './abandon.ts';
import { keepCopy, keptName } from './kept-copy.ts';
import type { LazyMounts } from './lazy-mounts.ts';
import { targetOf, updateTarget } from './records.ts';
import { shutDown } from './shut-down.ts';

/**
 * This host was given up and the container goes on at the source. The permit is refused for ever before anything else
 * is done, used or not. What clients wrote here may be wanted by somebody still: a copy that was told to start (after a
 * power cut Docker may not know that it ran) is kept, stopped, gated and under another name. Any other is removed.
 */
export async function fence(
  engine: Engine,
  lazy: LazyMounts,
  context: StepContext,
  input: StepInput<'fence'>,
): Promise<StepOutput<'fence'>> {
  const { containerId, permit } = targetOf(context);
  const mark = permit === 'used' && containerId !== null ? { keptAs: keptName(context, containerId) } : {};
  await updateTarget(context, () => ({ permit: 'refused', held: false, ...mark }));
  const target = targetOf(context);
  const { keptAs } = target;
  const container = await stagedContainer(engine, context, target);
  if (container !== null && target.lazy.length > 0) await shutDown(engine, container.Id, context);
  await lazy.drop(context);
  if (container === null || keptAs === null) return { keptAs: null, removed: await clearStaged(engine, context) };
  await keepCopy(engine, context, container, { keptAs, lostTo: input.lostTo });
  return { keptAs, removed: [] };
}
