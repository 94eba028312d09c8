import { join } from 'node:path';
import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerInspect, Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { hasChangedSinceCopy } from '../volume/index.ts';
import { migrationMark, shortId } from './definition-parts.ts';
import { closeGate, type GateMove, notAside } from './gate.ts';
import { definitionOf, targetOf } from './records.ts';
import { shutDown } from './shut-down.ts';

/** What a copy is called that is kept though the container goes on at the source. */
export function keptName(context: StepContext, containerId: string): string {
  return `${definitionOf(context).name}-lost-${shortId(containerId)}`;
}

/** Whether the container has run here and anything of its data is not what was copied any more. */
export async function hasWritten(context: StepContext, { State }: ContainerInspect): Promise<boolean> {
  if (Number.isNaN(Date.parse(State.StartedAt)) || Date.parse(State.StartedAt) <= 0) return false;
  const { mounts } = definitionOf(context);
  for (const { index, path } of targetOf(context).mountPaths) {
    const mount = mounts.find((candidate) => candidate.index === index);
    const how = { stateDir: join(context.directory, `mount-${index}`), isLazy: mount?.strategy === 'lazy' };
    if (await holdsChanges({ path, isFile: mount?.isFile === true }, how, context.signal)) return true;
  }
  return false;
}

/** A place that is gone holds nothing; one that can't be looked through may hold anything. */
async function holdsChanges(
  root: { path: string; isFile: boolean },
  how: { stateDir: string; isLazy: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return await hasChangedSinceCopy(root, how, signal);
  } catch (thrown) {
    signal.throwIfAborted();
    return !(thrown instanceof CargoError && thrown.code === 'NOT_FOUND');
  }
}

/** Stopped, gated and under another name, with its volumes aside: nobody starts it, and nobody mistakes its data. */
export async function keepCopy(
  engine: Engine,
  context: StepContext,
  container: ContainerInspect,
  { keptAs, lostTo }: { keptAs: string; lostTo: string },
): Promise<void> {
  await engine.setRestartPolicy(container.Id, { Name: 'no' }, context.signal);
  await shutDown(engine, container.Id, context);
  if (container.Name !== `/${keptAs}`) await engine.rename(container.Id, keptAs, context.signal);
  await closeGate(await notAside(volumeMoves(context, container, lostTo)));
}

function volumeMoves(context: StepContext, container: ContainerInspect, lostTo: string): GateMove[] {
  const suffix = `.lost-to-${lostTo}-${migrationMark(context.migrationId)}`;
  const volumes = container.Mounts.filter(({ Type }) => Type === 'volume');
  const ours = new Set(targetOf(context).mountPaths.map(({ path }) => path));
  return volumes
    .filter(({ Source }) => ours.has(Source))
    .map(({ Source }) => ({ from: Source, to: `${Source}${suffix}` }));
}
