import { CargoError } from '../../api/cargo-error.ts';
import type { Host } from '../../api/host.ts';
import { busyPhases } from '../../api/migration.ts';
import type { MigrationStore } from './migration-store.ts';
import type { StoredMigration } from './record.ts';

/** Which migrations need a host, and which hosts are on their way out. */
export class HostUse {
  readonly #migrations: MigrationStore;
  readonly #leaving = new Set<string>();

  constructor(migrations: MigrationStore) {
    this.#migrations = migrations;
  }

  /** To be asked once a new migration is recorded: either this sees the host leave, or `leave` sees the migration. */
  refuseLeaving({ sourceId, targetId, source, target }: StoredMigration): void {
    const name = this.#leaving.has(sourceId) ? source : this.#leaving.has(targetId) ? target : null;
    if (name !== null) throw new CargoError('HOST_NOT_FOUND', `host ${name} is just being removed`);
  }

  /**
   * Lets a host go; no new migration may begin with it. `force` gives up what a migration that was rolled back has
   * still to clear there; never a migration that isn't over, for nobody could say any more which copy may run.
   * @returns names of the stopped containers that migrations left on the host
   * @throws CargoError WRONG_PHASE
   */
  async leave(host: Host, { force }: { force: boolean }): Promise<string[]> {
    this.#leaving.add(host.id);
    try {
      const all = await this.#migrations.list();
      const touching = all.filter(({ sourceId, targetId }) => sourceId === host.id || targetId === host.id);
      const busy = touching.find(({ phase }) => busyPhases.includes(phase));
      if (busy !== undefined) throw inUse(host, busy);
      const uncleared = touching.filter(({ clearing, targetId }) => clearing && targetId === host.id);
      if (uncleared[0] !== undefined && !force) throw notCleared(host, uncleared[0]);
      for (const { id } of uncleared) {
        const activity = `rolled back: the container is on the source as before; ${host.name} was removed before it was cleared`;
        await this.#migrations.update(id, { clearing: false, activity });
      }
      await this.#migrations.dropBases(host.id, await this.#migrations.basesOf(host.id));
      return touching.flatMap((migration) => (isKeptOn(host, migration) ? (migration.movedAs ?? []) : []));
    } catch (error) {
      this.#leaving.delete(host.id);
      throw error;
    }
  }
}

function isKeptOn(host: Host, { phase, sourceId, cleanedUp }: StoredMigration): boolean {
  return phase === 'completed' && sourceId === host.id && !cleanedUp;
}

function inUse(host: Host, { id, container, phase }: StoredMigration): CargoError {
  const way =
    phase === 'copied'
      ? `finish it with \`cargoctl failover ${container}\``
      : `wait for it, or undo it with \`cargoctl cancel ${container}\``;
  return new CargoError(
    'WRONG_PHASE',
    `host ${host.name} can't be removed while ${container} is moving (migration ${id}, ${phase}): ${way}; if the host is lost for good, \`cargoctl recover ${container}\` ends the migration first`,
    { details: { migration: id } },
  );
}

function notCleared(host: Host, { id, container }: StoredMigration): CargoError {
  return new CargoError(
    'WRONG_PHASE',
    `what migration ${id} of ${container} staged on ${host.name} is still to be removed there: bring the host back, or give that up with --force`,
    { details: { migration: id } },
  );
}
