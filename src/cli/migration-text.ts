import type { Amount, Migration, Verification } from '../api/migration.ts';
import { hydrationEntries } from './hydration-text.ts';
import { findingLine } from './output.ts';
import { formatBytes, formatDuration, formatRate, formatSeconds } from './quantity.ts';
import { printable, record, table } from './table.ts';

/** `mysqldemo runs on h2 (downtime 1.42 s, 155.0 MiB in 208 files, 3 rounds)` and what may be done next. */
export function arrivalText(migration: Migration): string {
  const { container, target, source, downtimeMs, bytes, files, rounds, movedAs, phase } = migration;
  const facts = [
    downtimeMs === null ? '' : `downtime ${formatDuration(downtimeMs)}`,
    `${formatBytes(bytes.total)} in ${files.total} files`,
    rounds.length === 0 ? '' : `${rounds.length} round${rounds.length === 1 ? '' : 's'}`,
  ].filter((fact) => fact !== '');
  const place = downtimeMs === null ? `is on ${target}, stopped as it was` : `runs on ${target}`;
  const lines = [`${container} ${place} (${facts.join(', ')})`];
  if (phase === 'hydrating') lines.push(followingText(migration));
  else if (phase !== 'completed') {
    const kept = movedAs === null ? 'the old one' : movedAs;
    lines.push(
      `On ${source} ${kept} is kept stopped; \`cargoctl failover ${container}\` lets go of it, with --cleanup it is removed.`,
    );
  }
  return lines.map((line) => `${printable(line)}\n`).join('');
}

/** Until all is there the source is needed, and nothing of it may be let go of. */
function followingText({ container, source, bytes, hydration }: Migration): string {
  const missing = hydration.length === 0 ? '' : ` (${formatBytes(bytes.total - bytes.local)} to come)`;
  return `Its data follows${missing}: until then ${source} must stay up. \`cargoctl status ${container} --watch\` shows it, \`cargoctl failover ${container} --wait\` completes it then.`;
}

/** Everything that `cargoctl status CONTAINER` says. */
export function migrationText(migration: Migration): string {
  const { rate, etaSeconds, downtimeMs, rounds, error, findings, bwlimit, copiedAt, completedAt } = migration;
  const open = error === null && copiedAt === null;
  const text = record([
    ['container', migration.container],
    ['migration', migration.id],
    ['from', migration.source],
    ['to', migration.target],
    ['strategy', migration.strategy],
    ['phase', migration.phase],
    ['activity', open && migration.activity !== '' ? migration.activity : null],
    ['files', amountText(migration.files, String)],
    ['bytes', amountText(migration.bytes, formatBytes)],
    ['rate', open && rate !== null ? formatRate(rate) : null],
    ['ETA', open && etaSeconds !== null ? formatSeconds(etaSeconds) : null],
    ['limit', bwlimit === null ? null : formatRate(bwlimit)],
    ...hydrationEntries(migration),
    ['downtime', downtimeMs === null ? null : formatDuration(downtimeMs)],
    ['switch', switchText(migration)],
    ['rounds', rounds.length === 0 ? null : rounds.map(roundText).join('; ')],
    ['started', migration.startedAt],
    ['updated', migration.updatedAt],
    ['copied', copiedAt],
    ['completed', completedAt],
    ['verified', migration.verification === null ? null : verificationText(migration.verification)],
    [
      'kept as',
      migration.movedAs === null || migration.cleanedUp ? null : `${migration.movedAs} on ${migration.source}`,
    ],
    ['recovered', recoveryText(migration)],
    ['error', error === null ? null : `${error.message} [${error.code}]`],
  ]);
  return text + findings.map((finding) => `${printable(findingLine(finding))}\n`).join('');
}

/** `stop 0.55 s, drain 0.02 s, apply 0.11 s, start 0.31 s, healthy 1.02 s`: what is known of where its time went. */
function switchText({ switchTimes, downtimeMs }: Migration): string | null {
  const { stopMs, drainMs, applyMs, armMs, startMs, healthyMs } = switchTimes;
  const parts = { stop: stopMs, drain: drainMs, apply: applyMs, arm: armMs, start: startMs, healthy: healthyMs };
  const known = Object.entries(parts).flatMap(([name, ms]) => (ms === null ? [] : [{ name, ms }]));
  if (known.length === 0) return null;
  const sum = known.reduce((total, { ms }) => total + ms, 0);
  const rest = downtimeMs === null ? [] : [{ name: 'between', ms: Math.max(0, downtimeMs - sum) }];
  return [...known, ...rest].map(({ name, ms }) => `${name} ${formatDuration(ms)}`).join(', ');
}

function recoveryText({ recovery, source, target }: Migration): string | null {
  if (recovery === null) return null;
  const { at, lost, losses, acceptedAt, fenced, keptAs } = recovery;
  const kept = keptAs === null ? '' : `, ${keptAs} is kept there`;
  const fence = fenced ? `${lost} has learned it${kept}` : `${lost} is fenced as soon as it is heard`;
  return `at ${at === 'source' ? source : target} on ${acceptedAt}; ${fence}; lost: ${losses.join('; ')}`;
}

/** One line a migration. */
export function migrationsTable(migrations: readonly Migration[]): string {
  const rows = migrations.map((migration) => [
    migration.container,
    migration.source,
    migration.target,
    migration.phase,
    `${migration.files.local}/${migration.files.total}`,
    `${formatBytes(migration.bytes.local)}/${formatBytes(migration.bytes.total)}`,
    migration.downtimeMs === null ? '-' : formatDuration(migration.downtimeMs),
    migration.createdAt.slice(0, 19).replace('T', ' '),
    migration.error?.code ?? '-',
  ]);
  return table(['CONTAINER', 'FROM', 'TO', 'PHASE', 'FILES', 'BYTES', 'DOWNTIME', 'CREATED (UTC)', 'ERROR'], rows);
}

export function verificationText({ state, files, bytes, changed, differences, error, endedAt }: Verification): string {
  if (state === 'running') return 'being verified';
  if (error !== null) return `not finished: ${error.message} [${error.code}]`;
  const since = changed === 0 ? '' : `; ${changed} changed since by the container`;
  const verdict = differences === 0 ? '' : `; ${differences} DIFFER`;
  return `${files} files, ${formatBytes(bytes)} are what the source sent${since}${verdict} (${endedAt})`;
}

function amountText({ total, local, verified }: Amount, format: (value: number) => string): string {
  return `${format(local)} of ${format(total)}, ${format(verified)} verified`;
}

function roundText({ round, final, files, deleted, bytes, durationMs }: Migration['rounds'][number]): string {
  const what = `${formatBytes(bytes)} in ${files} files${deleted === 0 ? '' : `, ${deleted} deleted`}`;
  return `${round}${final ? ' (final)' : ''}: ${what}, ${formatDuration(durationMs)}`;
}
