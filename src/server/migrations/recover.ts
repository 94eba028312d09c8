import { CargoError } from '../../api/cargo-error.ts';
import type { Host } from '../../api/host.ts';
import { openPhases, type RecoverOptions, type Recovery, runningAtTarget, type Side } from '../../api/migration.ts';
import type { StoredMigration } from './record.ts';

/**
 * The decision that one side is given up, to be persisted before anything is done for it.
 * @param lost the host that is given up
 * @throws CargoError WRONG_PHASE where that side can't go on, or needs no recovering; LOSS_NOT_ACCEPTED with the losses
 */
export function decideRecovery(migration: StoredMigration, options: RecoverOptions, lost: Host): Recovery {
  const { at, acceptLoss } = options;
  const losses = at === 'source' ? lossesAtSource(migration, lost) : lossesAtTarget(migration);
  if (!acceptLoss) throw notAccepted(migration, at, losses);
  return { at, lost: lost.name, losses, acceptedAt: new Date().toISOString(), fenced: false, keptAs: null };
}

/** Whether the container is at home at the target, as far as a host that asks may be told. */
export function isHomeAtTarget({ phase, recovery }: StoredMigration): boolean {
  return recovery === null ? runningAtTarget.includes(phase) : recovery.at === 'target';
}

/** The source has all that was written up to its stop; whatever came after that is at the target alone. */
function lossesAtSource(migration: StoredMigration, target: Host): string[] {
  const { container, source, phase, startSent, startSentAt, copiedAt, completing } = migration;
  if (phase === 'completed' || completing) {
    throw wrongPhase(migration, `${source} was let go by a failover: only ${target.name} has its data`);
  }
  if (openPhases.includes(phase) && !startSent) {
    const how = `\`cargoctl cancel ${container}\` brings it back without a loss, ${target.name} is not needed for it`;
    throw wrongPhase(migration, `${container} has not been started on ${target.name}: ${how}`);
  }
  if (!openPhases.includes(phase) && phase !== 'copied') throw isOver(migration);
  const until = target.status === 'away' ? `${target.lastSeenAt}, when it was last heard` : 'now';
  const from = startSentAt ?? copiedAt ?? migration.updatedAt;
  const may = runningAtTarget.includes(phase) ? 'wrote' : 'may have written';
  return [`what ${container} and its clients ${may} on ${target.name} from ${from} to ${until}`];
}

function lossesAtTarget(migration: StoredMigration): string[] {
  const { container, source, target, phase, startSent } = migration;
  if (phase === 'switching' && startSent) {
    throw wrongPhase(migration, `${target} has all data and was told to start ${container}: its answer is waited for`);
  }
  if (openPhases.includes(phase)) {
    throw wrongPhase(migration, `${target} does not have all data of ${container}: only ${source} has it whole`);
  }
  if (phase !== 'copied') throw isOver(migration);
  return [`the stopped container and its data on ${source}; ${target} has all of it, verified`];
}

function notAccepted({ container, source, target }: StoredMigration, at: Side, losses: string[]): CargoError {
  const [home, lost] = at === 'source' ? [source, target] : [target, source];
  const message =
    `nothing was changed. To let ${container} go on at ${home} and give up ${lost} for good, say --accept-loss. ` +
    `Do so only if ${lost} is off or cut off from all clients. Lost would be: ${losses.join('; ')}`;
  return new CargoError('LOSS_NOT_ACCEPTED', message, { details: { losses } });
}

function isOver(migration: StoredMigration): CargoError {
  return wrongPhase(migration, 'it is over, there is nothing to recover');
}

function wrongPhase({ id, phase }: StoredMigration, why: string): CargoError {
  return new CargoError('WRONG_PHASE', `migration ${id} is in phase ${phase}: ${why}`);
}
