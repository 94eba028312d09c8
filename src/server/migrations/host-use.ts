import { CargoError } from '../../api/cargo-error.ts';
import type { Host } from '../../api/host.ts';
import { busyPhases, openPhases } from '../../api/migration.ts';
import type { MigrationStore } from './migration-store.ts';
import type { StoredMigration } from './record.ts';

/** Undoes a migration for a reason of the server's own. @throws CargoError WRONG_PHASE when it is too late for that */
export type Cancel = (id: string, reason: CargoError) => Promise<unknown>;

/** Which migrations need a host, and which hosts are on their way out. */
export class HostUse {
  readonly #migrations: MigrationStore;
  readonly #cancel: Cancel;
  readonly #leaving = new Set<string>();

  constructor(migrations: MigrationStore, cancel: Cancel) {
    this.#migrations = migrations;
    this.#cancel = cancel;
  }

  /** To be asked once a new migration is recorded: either this sees the host leave, or `leave` sees the migration. */
  refuseLeaving({ sourceId, targetId, source, target }: StoredMigration): void {
    const name = this.#leaving.has(sourceId) ? source : this.#leaving.has(targetId) ? target : null;
    if (name !== null) throw new CargoError('HOST_NOT_FOUND', `host ${name} is just being removed`);
  }

  /**
   * Lets a host go; no new migration may begin with it. `force` undoes those that can still be undone, and gives up what one
   * that was rolled back has still to clear there; never a migration whose target may have started, for nobody could say any
   * more which copy may run.
   * @returns names of the stopped containers that migrations left on the host
   * @throws CargoError WRONG_PHASE
   */
  async leave(host: Host, { force }: { force: boolean }): Promise<string[]> {
    this.#leaving.add(host.id);
    try {
      if (force) await this.#undoAll(host);
      const touching = await this.#touching(host);
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

  async #touching({ id }: Host): Promise<StoredMigration[]> {
    return (await this.#migrations.list()).filter(({ sourceId, targetId }) => sourceId === id || targetId === id);
  }

  async #undoAll(host: Host): Promise<void> {
    const open = (await this.#touching(host)).filter(
      ({ phase, startSent }) => openPhases.includes(phase) && !startSent,
    );
    await Promise.all(open.map((migration) => this.#cancel(migration.id, removedMeanwhile(host, migration))));
  }
}

function removedMeanwhile(host: Host, { container }: StoredMigration): CargoError {
  return new CargoError('HOST_REMOVED', `host ${host.name} was removed from Cargo while ${container} was moving`);
}

function isKeptOn(host: Host, { phase, sourceId, cleanedUp }: StoredMigration): boolean {
  return phase === 'completed' && sourceId === host.id && !cleanedUp;
}

function inUse(host: Host, { id, container, phase }: StoredMigration): CargoError {
  const way =
    phase === 'copied'
      ? `finish it with \`cargoctl failover ${container}\``
      : `wait for it, or undo it with \`cargoctl cancel ${container}\` or with --force`;
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
