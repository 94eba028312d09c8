import type { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerDefinition } from '../../api/container-definition.ts';
import type { MigrationRecord, SourceState, TargetState } from '../migrations/record.ts';
import type { StepContext } from '../migrations/step-context.ts';

export type Source = z.infer<typeof SourceState>;
export type Frozen = NonNullable<Source['frozen']>;
export type Target = TargetState;

export const emptySource: Source = { serving: false, frozen: null, released: false };
export const emptyTarget: Target = {
  permit: 'unused',
  containerId: null,
  restartPolicy: null,
  createdVolumes: [],
  createdNetworks: [],
  createdPaths: [],
  adoptedPaths: [],
  loadedImages: [],
  usedBases: [],
  gate: [],
  lazy: [],
  whole: null,
  held: false,
  keptAs: null,
  mountPaths: [],
};

/** Changes the source's side of the record, durably. */
export function updateSource(context: StepContext, change: Partial<Source>): Promise<void> {
  return context.update((record) => ({ ...record, source: { ...(record.source ?? emptySource), ...change } }));
}

/** Changes the target's side of the record, durably. */
export function updateTarget(context: StepContext, change: (target: Target) => Partial<Target>): Promise<void> {
  return context.update((record) => {
    const target = record.target ?? emptyTarget;
    return { ...record, target: { ...target, ...change(target) } };
  });
}

/** What other migrations to this host have made that may still go back. */
export function undecidedTargets(context: StepContext): Target[] {
  const isDecided = ({ outcomes }: MigrationRecord): boolean =>
    outcomes['start']?.state === 'done' || outcomes['abandon']?.state === 'done';
  return context.others().flatMap((other) => (other.target === null || isDecided(other) ? [] : [other.target]));
}

export function targetOf(context: StepContext): Target {
  return context.record().target ?? emptyTarget;
}

/** @throws CargoError WRONG_PHASE when neither `serve` nor `stage` came before */
export function definitionOf(context: StepContext): ContainerDefinition {
  const { definition } = context.record();
  if (definition === null) {
    throw new CargoError('WRONG_PHASE', `migration ${context.migrationId} has not been begun on this host`);
  }
  return definition;
}

export function adding<T>(list: readonly T[], item: T): T[] {
  return list.includes(item) ? [...list] : [...list, item];
}
