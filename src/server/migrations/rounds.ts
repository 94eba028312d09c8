import { LONGEST_PRECOPY_SECONDS, type Round } from '../../api/migration.ts';
import type { StoredMigration } from './record.ts';

export const MAX_ROUNDS = 8;
export const SMALL_BYTES = 1024 * 1024;
/** A database's log, and what it reads as it starts; and no more than travels in so long where there is a limit. */
const FRESH_BYTES = 256 * 1024 * 1024;
const FRESH_SECONDS = 2;
/** Beyond this, what was changed is not worth the time for which the container is down: it may follow. */
const FINAL_FRESH_BYTES = 16 * 1024 * 1024;
const FINAL_FRESH_MS = 2_000;
/** Read to find what of it was changed: that takes 0.2 s. */
const FINAL_READ_BYTES = 1024 * 1024 * 1024;

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

/**
 * How much of what was changed last travels with its content in the next round, though it could follow: then the container need not wait
 * for what it reads first. In the final round that is the differences, if the round before it had few. None where `precopySeconds` is 0.
 */
export function freshBytes(
  { precopySeconds, bwlimit, rounds }: Pick<StoredMigration, 'precopySeconds' | 'bwlimit' | 'rounds'>,
  final: boolean,
): number {
  if (precopySeconds === 0) return 0;
  const last = rounds.at(-1);
  const isQuiet = last !== undefined && last.bytes <= FINAL_FRESH_BYTES && last.durationMs <= FINAL_FRESH_MS;
  if (final) return isQuiet ? FINAL_READ_BYTES : 0;
  return Math.min(FRESH_BYTES, Math.floor((bwlimit ?? Number.POSITIVE_INFINITY) * FRESH_SECONDS));
}
