import { setTimeout as sleep } from 'node:timers/promises';
import { CargoError } from '../api/cargo-error.ts';
import { type Migration, moves, type Phase, runningAtTarget } from '../api/migration.ts';
import { api } from './api.ts';
import { Interrupted } from './interrupted.ts';
import { failureOf } from './output.ts';
import type { Session } from './session.ts';

const POLL_MS = 500;
/** A server that is being restarted is back long before this. */
const SERVER_AWAY_LIMIT_MS = 60_000;

/** Phases with all data at the target. */
export const allCopied: readonly Phase[] = ['copied', 'completed'];
/** Phases in which the container runs at the target. */
export const running: readonly Phase[] = runningAtTarget;
/** Phases that nothing leads out of. */
export const ended: readonly Phase[] = (Object.keys(moves) as Phase[]).filter((phase) => moves[phase].length === 0);

/** The container was stopped at the target, for what protected its missing data was lost: only an operator leads on. */
export function standsStill({ phase, error }: Migration): boolean {
  return phase === 'hydrating' && error !== null;
}

/**
 * Asks after the migration until it is in one of the phases, or nothing leads it on by itself. Outlives restarts of the server. Ctrl-C ends
 * the following, not the migration.
 */
export async function follow(
  session: Session,
  from: Migration,
  phases: readonly Phase[],
  onUpdate: (migration: Migration) => void,
): Promise<Migration> {
  const isThere = (migration: Migration): boolean =>
    phases.includes(migration.phase) || ended.includes(migration.phase) || standsStill(migration);
  let latest = from;
  try {
    return await askUntil(session, from, isThere, (migration) => {
      latest = migration;
      onUpdate(migration);
    });
  } catch (error) {
    throw session.signal.aborted ? goesOn(latest) : error;
  }
}

/** Asks after the migration until the test holds. Outlives restarts of the server. */
export async function askUntil(
  session: Session,
  from: Migration,
  test: (migration: Migration) => boolean,
  onUpdate: (migration: Migration) => void,
): Promise<Migration> {
  let migration = from;
  onUpdate(migration);
  while (!test(migration)) {
    await sleep(POLL_MS, undefined, { signal: session.signal });
    migration = await askPatiently(session, migration.id);
    onUpdate(migration);
  }
  return migration;
}

/** Throws the migration's own failure when it ended, or stands still, without the container running at the target. */
export function assertSucceeded(migration: Migration): void {
  const { phase, recovery } = migration;
  const hasFailed = phase === 'failed' || phase === 'rolled-back' || recovery?.at === 'source';
  if (!hasFailed && !standsStill(migration)) return;
  const message = `the migration of ${migration.container} to ${migration.target} ended ${migration.phase}`;
  throw failureOf(migration.error ?? { code: 'MIGRATION_FAILED', message });
}

async function askPatiently(session: Session, id: string): Promise<Migration> {
  const giveUpAt = Date.now() + SERVER_AWAY_LIMIT_MS;
  for (;;) {
    try {
      return await api.migration(session.client, id);
    } catch (error) {
      const mayPass = error instanceof CargoError && error.handling.retry;
      if (!mayPass || Date.now() > giveUpAt) throw error;
      await sleep(POLL_MS, undefined, { signal: session.signal });
    }
  }
}

function goesOn({ container, phase }: Migration): Interrupted {
  const stop = running.includes(phase) ? '' : `, \`cargoctl cancel ${container}\` stops it`;
  return new Interrupted(
    `the migration of ${container} goes on by itself: \`cargoctl status ${container} --watch\` follows it${stop}`,
  );
}
