import { LONGEST_PRECOPY_SECONDS, type Round } from '../../api/migration.ts';
import type { StoredMigration } from './record.ts';

export const MAX_ROUNDS = 8;
export const SMALL_BYTES = 1024 * 1024;

/**
 * Whether the rest is small enough to stop the container, or can't be made smaller while it runs. The rules are those of
 * p.haul (CRIU's live migration tool): at most 8 rounds, at most 1 MiB left, or a round that doesn't shrink. The first
 * round carries everything, so what it says of the rate of change is nothing: there is always a second.
 */
export function isTimeToSwitch(rounds: readonly Round[]): boolean {
  const last = rounds.at(-1);
  const before = rounds.at(-2);
  if (last === undefined || before === undefined) return false;
  return rounds.length >= MAX_ROUNDS || last.bytes <= SMALL_BYTES || last.bytes >= before.bytes;
}

/**
 * Until when content that could follow travels before the stop, ms since the epoch: as long as was asked for. Where an
 * earlier migration left its data at the target, as long as it takes: what is the same there need not travel at all.
 */
export function precopyEnd({
  startedAt,
  precopySeconds,
  bases,
}: Pick<StoredMigration, 'startedAt' | 'precopySeconds' | 'bases'>): number {
  if (startedAt === null) return 0;
  const seconds = precopySeconds ?? (bases.length > 0 ? LONGEST_PRECOPY_SECONDS : 0);
  return Date.parse(startedAt) + seconds * 1000;
}
