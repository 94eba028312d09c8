import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import type { ContainerInspect, Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { clearStaged, stagedContainer } from './abandon.ts';
import { migrationMark, shortId } from './definition-parts.ts';
import { closeGate, type GateMove, notAside } from './gate.ts';
import { definitionOf, targetOf, updateTarget } from './records.ts';
import { shutDown } from './shut-down.ts';

/**
 * This host was given up and the container goes on at the source. The permit is refused for ever before anything else
 * is done, used or not. What clients wrote here may be wanted by somebody still: a copy that was told to start (after a
 * power cut Docker may not know that it ran) is kept, stopped, gated and under another name. Any other is removed.
 */
export async function fence(
  engine: Engine,
  context: StepContext,
  input: StepInput<'fence'>,
): Promise<StepOutput<'fence'>> {
  const { containerId, permit } = targetOf(context);
  const mark = permit === 'used' && containerId !== null ? { keptAs: lostName(context, containerId) } : {};
  await updateTarget(context, () => ({ permit: 'refused', held: false, ...mark }));
  const target = targetOf(context);
  const { keptAs } = target;
  const container = await stagedContainer(engine, context, target);
  if (container === null || keptAs === null) return { keptAs: null, removed: await clearStaged(engine, context) };
  await engine.setRestartPolicy(container.Id, { Name: 'no' }, context.signal);
  await shutDown(engine, container.Id, context);
  if (container.Name !== `/${keptAs}`) await engine.rename(container.Id, keptAs, context.signal);
  await closeGate(await notAside(volumeMoves(context, container, input.lostTo)));
  return { keptAs, removed: [] };
}

/** What a copy is called that was given up. */
function lostName(context: StepContext, containerId: string): string {
  return `${definitionOf(context).name}-lost-${shortId(containerId)}`;
}

/** Its volumes stand aside too: nothing of that name is mistaken for the container's data. */
function volumeMoves(context: StepContext, container: ContainerInspect, lostTo: string): GateMove[] {
  const suffix = `.lost-to-${lostTo}-${migrationMark(context.migrationId)}`;
  const volumes = container.Mounts.filter(({ Type }) => Type === 'volume');
  const ours = new Set(targetOf(context).mountPaths.map(({ path }) => path));
  return volumes
    .filter(({ Source }) => ours.has(Source))
    .map(({ Source }) => ({ from: Source, to: `${Source}${suffix}` }));
}
