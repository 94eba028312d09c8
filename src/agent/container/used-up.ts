import type { Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { movedName } from './definition-parts.ts';
import { exists } from './host-paths.ts';
import { targetOf } from './records.ts';

/**
 * Removes what an earlier migration left here and this one has used up: the stopped container whose data is the new
 * container's now, and its anonymous volumes, which are empty.
 */
export async function removeUsedUp(engine: Engine, context: StepContext): Promise<void> {
  const { signal } = context;
  for (const { base, from } of targetOf(context).usedBases) {
    const old = await engine.findContainer(base.containerId, signal);
    const isMovedOne = old?.Name === `/${movedName(base.containerName, base.containerId)}` && !old.State.Running;
    if (old !== null && isMovedOne) await engine.removeContainer(old.Id, { anonymousVolumes: false }, signal);
    if (base.anonymous && !(await exists(from))) await engine.removeVolume(base.name, signal);
  }
}
