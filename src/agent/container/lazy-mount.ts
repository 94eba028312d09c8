import { join } from 'node:path';
import { CargoError } from '../../api/cargo-error.ts';
import type { DataMount } from '../../api/container-definition.ts';
import { hasBegun, type SourceAddress, volumeStatus } from '../lazy/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { receivedRound } from '../volume/index.ts';
import { type Cover, coverOf } from './cover.ts';
import { definitionOf, type Target, targetOf } from './records.ts';

/** Where the agent keeps who it is, and whom it knows to be removed: the hydrators read both. */
export type IdentityFiles = { identity: string; trust: string };

/** One mount whose content follows, on the target. */
export type LazyMount = { mount: DataMount; cover: Cover; stateDir: string };

function lazyDirectory(context: StepContext, index: number): string {
  return join(context.directory, `lazy-${index}`);
}

/** Of all mounts that are to follow, begun or not: where the data is, and where its hydrator keeps what it knows. */
export function lazyPlaces(context: StepContext): { index: number; path: string; stateDir: string }[] {
  const { definition, target } = context.record();
  return (definition?.mounts ?? []).flatMap(({ index, strategy }) => {
    const path = target?.mountPaths.find((known) => known.index === index)?.path;
    return strategy === 'lazy' && path !== undefined ? [{ index, path, stateDir: lazyDirectory(context, index) }] : [];
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

/** Where the content of a mount is, as of the last round that was received here. @throws CargoError WRONG_PHASE */
export function sourceOf(context: StepContext, mountIndex: number, files: IdentityFiles): SourceAddress {
  const { migrationId } = context;
  const { peer } = context.record();
  if (peer === null || peer.address === null) throw new CargoError('WRONG_PHASE', 'the source is not known here');
  const round = receivedRound(join(context.directory, `mount-${mountIndex}`));
  return { kind: 'agent', address: peer.address, hostId: peer.hostId, migrationId, mountIndex, round, ...files };
}

export async function isWhole({ stateDir }: LazyMount): Promise<boolean> {
  return (await hasBegun(stateDir)) && (await volumeStatus(stateDir)).phase === 'finished';
}
