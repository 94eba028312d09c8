import { randomUUID } from 'node:crypto';
import { type MigrateOptions, SwitchTimes } from '../../api/migration.ts';
import type { Planned } from './planner.ts';
import type { StoredMigration } from './record.ts';

/** The first record of a migration. */
export function newMigration(
  { plan, definition, source, target, bases }: Planned,
  options: MigrateOptions,
): StoredMigration {
  const now = new Date().toISOString();
  const files = definition.mounts.reduce((sum, mount) => sum + mount.files, 0);
  const bytes = definition.mounts.reduce((sum, mount) => sum + mount.bytes, 0);
  return {
    id: randomUUID(),
    container: definition.name,
    containerId: definition.id,
    targetContainerId: null,
    source: source.name,
    sourceId: source.id,
    target: target.name,
    targetId: target.id,
    phase: 'planned',
    strategy: plan.strategy,
    rootfs: options.rootfs,
    bwlimit: options.bwlimit,
    paused: false,
    hydration: [],
    activity: 'planned',
    files: { total: files, local: 0, verified: 0 },
    bytes: { total: bytes, local: 0, verified: 0 },
    rate: null,
    etaSeconds: null,
    rounds: [],
    downtimeMs: null,
    switchTimes: SwitchTimes.parse({}),
    createdAt: now,
    startedAt: null,
    updatedAt: now,
    copiedAt: null,
    completedAt: null,
    cleanedUp: false,
    movedAs: null,
    findings: plan.findings,
    verification: null,
    error: null,
    epoch: 1,
    definition,
    precopySeconds: options.precopySeconds ?? null,
    force: options.force,
    keepStaged: options.keepStaged,
    bases,
    leftAtSource: [],
    frozenAtMs: null,
    startSent: false,
    startSentAt: null,
    completing: false,
    recovery: null,
    forgetting: [],
    clearing: false,
    undoing: null,
  };
}
