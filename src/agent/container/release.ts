import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import type { Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { unprotectTree } from '../volume/index.ts';
import { exists } from './host-paths.ts';
import { definitionOf, type Frozen, updateSource } from './records.ts';

/**
 * The migration is over: the source serves nothing more. With `cleanup`, now or in a later call, the moved container
 * and its volumes are removed; bind paths stay, and so does a volume that another container refers to, or whose data
 * doesn't stand aside any more because a move back has put it to use again.
 */
export async function release(
  engine: Engine,
  context: StepContext,
  input: StepInput<'release'>,
): Promise<StepOutput<'release'>> {
  await updateSource(context, { serving: false, released: true });
  const frozen = context.record().source?.frozen;
  if (!input.cleanup || !frozen) return { removed: [] };
  const { log, signal } = context;
  const removed: string[] = [];
  if ((await engine.findContainer(frozen.containerId, signal)) !== null) {
    await engine.removeContainer(frozen.containerId, { anonymousVolumes: false }, signal);
    removed.push(frozen.movedAs);
  }
  for (const mount of definitionOf(context).mounts) {
    const aside = mount.kind === 'volume' ? await placeAside(frozen, mount.path) : null;
    if (aside !== null) await unprotectTree(aside);
    if (aside !== null && (await engine.removeVolume(mount.name, signal))) removed.push(mount.name);
    else log.info({ kind: mount.kind, name: mount.name }, 'kept on the source host');
  }
  return { removed };
}

/** Where a volume's data stands aside, or null. */
async function placeAside({ movedAside }: Frozen, path: string): Promise<string | null> {
  const move = movedAside.find(({ from }) => from === path);
  return move !== undefined && (await exists(move.to)) ? move.to : null;
}
