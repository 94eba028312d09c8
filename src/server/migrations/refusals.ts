import { CargoError } from '../../api/cargo-error.ts';
import { busyPhases, type Migration, undecidedPhases } from '../../api/migration.ts';
import type { StoredMigration } from './record.ts';

/** Why it did not come to run at the target. */
export function failureOf(migration: Migration): CargoError {
  const cause = migration.error ?? { code: 'INTERNAL', message: 'no reason was recorded' };
  const message = `${migration.container} was not moved and stays on ${migration.source}: ${cause.message}`;
  const code = CargoError.fromBody({ error: cause }).code;
  return new CargoError(code === 'INTERNAL' ? 'MIGRATION_FAILED' : code, message, {
    details: { migration: migration.id, cause },
  });
}

export function nothingFollows({ id, phase }: StoredMigration): CargoError {
  return new CargoError('WRONG_PHASE', `migration ${id} is in phase ${phase}: nothing of it travels any more`);
}

/** Its data is there before the container starts: there is no background copy that could rest. */
export function nothingRests({ container }: StoredMigration): CargoError {
  const message = `${container} is moved by precopy, which does not rest: \`cargoctl set ${container} --bwlimit RATE\` slows it down`;
  return new CargoError('WRONG_PHASE', message);
}

export function stillUnderWay({ container, activity }: StoredMigration): CargoError {
  const message = `${container} is not back yet: ${activity}; \`cargoctl status ${container}\` shows how it goes on`;
  return new CargoError('TIMED_OUT', message);
}

export function decidedOtherwise({ container, recovery, source, target }: StoredMigration): CargoError {
  const home = recovery?.at === 'source' ? source : target;
  return new CargoError(
    'WRONG_PHASE',
    `${container} was recovered at ${home} already: the other side is fenced for ever`,
  );
}

/** The target may run already: nothing but its own answer, or an operator's word, leads back. */
export function isPastReturn({ startSent, undoing, recovery }: StoredMigration): boolean {
  return recovery !== null || (startSent && undoing === null);
}

export function tooLate({ id, container, source, target, phase }: Migration): CargoError {
  const back = `to have it back: \`cargoctl failover ${container}\`, then \`cargoctl migrate ${container} --from ${target} --to ${source}\``;
  const where = undecidedPhases.includes(phase) ? 'has been told to start' : 'runs';
  const message = busyPhases.includes(phase)
    ? `${container} ${where} on ${target} already and can't be cancelled; ${back}`
    : `migration ${id} is over (${phase}): there is nothing to cancel`;
  return new CargoError('WRONG_PHASE', message);
}

/** What is still at the source alone. */
export function stillFollowing({ container, source, hydration }: Migration): CargoError {
  const filesMissing = hydration.reduce((sum, volume) => sum + volume.filesMissing, 0);
  const bytesMissing = hydration.reduce((sum, volume) => sum + volume.bytesMissing, 0);
  const known = hydration.length > 0;
  const what = known ? `${bytesMissing} bytes of ${container} in ${filesMissing} files are` : `data of ${container} is`;
  const message = `${what} still on ${source} alone: \`cargoctl failover ${container} --wait\` waits for it`;
  return new CargoError('WRONG_PHASE', message, known ? { details: { filesMissing, bytesMissing } } : {});
}
