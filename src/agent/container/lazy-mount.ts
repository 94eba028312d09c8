import { join } from 'node:path';
import { CargoError } from '../../api/cargo-error.ts';
import type { DataMount } from '../../api/container-definition.ts';
import { hasBegun, volumeStatus } from '../lazy/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { type Cover, coverOf } from './cover.ts';
import { definitionOf, type Target, targetOf } from './records.ts';

/** One mount whose content follows, on the target. */
export type LazyMount = { mount: DataMount; cover: Cover; stateDir: string };

function lazyDirectory(context: StepContext, index: number): string {
  return join(context.directory, `lazy-${index}`);
}

/** Of all mounts that are to follow, begun or not: where the data is, and where its hydrator keeps what it knows. */
export function lazyPlaces(context: StepContext): { path: string; stateDir: string }[] {
  const { definition, target } = context.record();
  return (definition?.mounts ?? []).flatMap(({ index, strategy }) => {
    const path = target?.mountPaths.find((known) => known.index === index)?.path;
    return strategy === 'lazy' && path !== undefined ? [{ path, stateDir: lazyDirectory(context, index) }] : [];
  });
}

/** The mounts whose content follows now. */
export function lazyMounts(context: StepContext): LazyMount[] {
  const { lazy, mountPaths } = targetOf(context);
  if (lazy.length === 0) return [];
  const { mounts } = definitionOf(context);
  return lazy.map(({ index }) => {
    const mount = mounts.find((candidate) => candidate.index === index);
    const path = mountPaths.find((candidate) => candidate.index === index)?.path;
    if (mount === undefined || path === undefined) throw new CargoError('INTERNAL', `mount ${index} was not staged`);
    return {
      mount,
      cover: coverOf(path, context.migrationId, index),
      stateDir: lazyDirectory(context, index),
    };
  });
}

export function notBegun(index: number): Target['lazy'][number] {
  return { index, suspect: false, takenAway: false };
}

export async function isWhole({ stateDir }: LazyMount): Promise<boolean> {
  return (await hasBegun(stateDir)) && (await volumeStatus(stateDir)).phase === 'finished';
}
