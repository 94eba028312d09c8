import { CargoError } from '../../api/cargo-error.ts';
import { type FailoverOptions, openPhases } from '../../api/migration.ts';
import type { DriverPorts } from './hands.ts';
import type { StoredMigration } from './record.ts';

/**
 * `copied` → `completed`: the source is released. What it keeps becomes the base of a later move back, unless `cleanup`
 * removes it. Safe to repeat; on a completed migration only a cleanup that was not done yet has something to do.
 * @throws CargoError WRONG_PHASE, AGENT_UNREACHABLE
 */
export async function completeMigration(
  ports: DriverPorts,
  id: string,
  { cleanup }: FailoverOptions,
  signal: AbortSignal,
): Promise<StoredMigration> {
  const migration = await ports.migrations.get(id);
  if (migration.phase !== 'copied' && migration.phase !== 'completed') throw notYet(migration);
  if (migration.phase === 'completed' && (!cleanup || migration.cleanedUp)) return migration;
  if (migration.recovery !== null) throw notYet(migration);
  if (migration.phase === 'completed') await refuseReused(ports, migration);
  // The target first: one that is lost must not cost the source too.
  if (migration.phase === 'copied') await finish(ports, migration, signal);
  await ports.migrations.update(id, { completing: true });
  await release(ports, migration, cleanup, signal);
  if (migration.phase === 'copied') await forgetAtTarget(ports, migration, signal);
  const { sourceId, leftAtSource } = migration;
  if (cleanup)
    await ports.migrations.dropBases(
      sourceId,
      leftAtSource.filter(({ kind }) => kind === 'volume'),
    );
  else await ports.migrations.keepBases(sourceId, leftAtSource);
  if (cleanup) await keepBinds(ports, migration);
  return ports.migrations.update(id, {
    phase: 'completed',
    activity: cleanup ? 'completed; the source container and its volumes are removed' : 'completed',
    completedAt: migration.completedAt ?? new Date().toISOString(),
    cleanedUp: cleanup,
  });
}

/** The content of bind mounts is never removed, so it stays a base. */
async function keepBinds(ports: DriverPorts, { sourceId, leftAtSource }: StoredMigration): Promise<void> {
  await ports.migrations.keepBases(
    sourceId,
    leftAtSource.filter(({ kind }) => kind === 'bind'),
  );
}

async function release(ports: DriverPorts, migration: StoredMigration, cleanup: boolean, signal: AbortSignal) {
  const source = await ports.hosts.get(migration.sourceId);
  const request = { key: cleanup ? 'release-cleanup' : 'release', step: 'release', input: { cleanup } } as const;
  await retryUnderHigherEpoch(ports, migration, (epoch) =>
    ports.agents.step(source, migration.id, { ...request, epoch }, { signal, onProgress: () => undefined }),
  );
  if (cleanup) await ports.agents.forget(source, migration.id, signal);
}

async function finish(ports: DriverPorts, migration: StoredMigration, signal: AbortSignal): Promise<void> {
  const target = await ports.hosts.get(migration.targetId);
  await retryUnderHigherEpoch(ports, migration, (epoch) => {
    const request = { key: 'finish', step: 'finish', epoch, input: {} } as const;
    return ports.agents.step(target, migration.id, request, { signal, onProgress: () => undefined });
  });
}

async function forgetAtTarget(ports: DriverPorts, migration: StoredMigration, signal: AbortSignal): Promise<void> {
  const target = await ports.hosts.get(migration.targetId);
  await ports.agents.forget(target, migration.id, signal);
  for (const replaced of new Set(migration.bases.map(({ migrationId }) => migrationId))) {
    await ports.agents.forget(target, replaced, signal);
  }
}

/** A failed try at an earlier failover is recorded at the agent under its epoch: each call gets a new one. */
async function retryUnderHigherEpoch(
  ports: DriverPorts,
  { id }: StoredMigration,
  work: (epoch: number) => Promise<unknown>,
): Promise<void> {
  const { epoch } = await ports.migrations.get(id);
  await ports.migrations.update(id, { epoch: epoch + 1 });
  await work(epoch + 1);
}

/** After a move back the data that this migration left at its source is in use again. */
async function refuseReused(ports: DriverPorts, migration: StoredMigration): Promise<void> {
  const back = (await ports.migrations.list()).find(
    ({ phase, bases }) => openPhases.includes(phase) && bases.some((base) => base.migrationId === migration.id),
  );
  if (back !== undefined) {
    throw new CargoError('WRONG_PHASE', `${migration.container} is being moved back just now (migration ${back.id})`);
  }
  const bases = await ports.migrations.basesOf(migration.sourceId);
  const reused = migration.leftAtSource.filter(
    (left) => !bases.some((base) => base.name === left.name && base.migrationId === migration.id),
  );
  if (reused.length === 0) return;
  const names = reused.map(({ name }) => name).join(', ');
  throw new CargoError('WRONG_PHASE', `what this migration left on ${migration.source} is in use again: ${names}`);
}

function notYet({ container, phase, id }: StoredMigration): CargoError {
  const isOpen = phase === 'planned' || phase === 'staging' || phase === 'switching';
  const hint = isOpen ? 'wait until its data is copied (`cargoctl status`)' : 'there is nothing to fail over to';
  return new CargoError('WRONG_PHASE', `migration ${id} of ${container} is in phase ${phase}: ${hint}`);
}
