import { Migration } from '../src/api/migration.ts';
import type { Bench } from './bench.ts';
import { type EngineProcesses, engineProcesses } from './engine-processes.ts';
import type { LazyCell } from './lazy-cells.ts';
import { lazyStrikes } from './lazy-strike.ts';
import { BALLAST, CONTAINER, type HostName } from './names.ts';
import { type CellResult, runTrial } from './run-cell.ts';
import { complete, settle } from './settle.ts';
import type { Roles } from './strike.ts';

const REACHED_MS = 120_000;
const BALLAST_BYTES = 16 * 2 ** 20;
/** The ballast is the largest file, so it comes last: some of it is missing for longer than any strike waits. */
const BWLIMIT = 1_000_000;

/** A migration that stands where it is to be struck. `sum`: what md5sum says of the ballast. */
export type FollowedMove = {
  id: string;
  roles: Roles;
  sum: string;
  before: EngineProcesses;
  /** Whether the container has been started at the target. */
  isRunning: boolean;
  awayMs: number;
  letGo: () => void;
};

/** Strikes once while data is missing, waits until all has settled, and judges as other cells are. */
export function runLazyCell(bench: Bench, cell: LazyCell, awayMs: number): Promise<CellResult> {
  const { name, point } = cell;
  return runTrial(bench, {
    ...{ name, point, isDoomed: false },
    ...(cell.fault === 'source-away' ? { patienceMs: awayMs + REACHED_MS } : {}),
    migrate: async (roles, result) => {
      const { migration, note, faults } = await migrateUnder(bench, cell, roles, awayMs);
      if (note !== undefined) result.note = note;
      result.faults.push(...faults);
      return migration;
    },
  });
}

type Outcome = { migration: Migration; note?: string | undefined; faults: string[] };

async function migrateUnder(bench: Bench, cell: LazyCell, roles: Roles, awayMs: number): Promise<Outcome> {
  const sum = await bench.shell(
    roles.source,
    `docker exec ${CONTAINER} sh -c 'head -c ${BALLAST_BYTES} /dev/urandom >${BALLAST} && sync ${BALLAST} && md5sum ${BALLAST}'`,
  );
  bench.stops.arm(cell.point);
  const order = { container: CONTAINER, source: roles.source, target: roles.target };
  const { id } = Migration.parse(
    await bench.server('POST', '/v1/migrations', { ...order, strategy: 'lazy', bwlimit: BWLIMIT }),
  );
  await bench.stops.untilHeld(cell.point, REACHED_MS);
  const before = await engineProcesses(bench, roles.target);
  const faults = before.hydrators.length === 1 && before.holders.length === 2 ? [] : ['nothing was missing any more'];
  const isRunning = cell.moment !== 'arm';
  const startedAt = isRunning ? await startOf(bench, roles.target) : null;
  const letGo = (): void => bench.stops.release(cell.point);
  const struck = await lazyStrikes[cell.fault](bench, { id, roles, sum, before, isRunning, awayMs, letGo });
  faults.push(...struck.faults);
  const migration = await ending(bench, id);
  const home = migration.phase === 'completed' ? roles.target : roles.source;
  const isUnnoticed = cell.fault !== 'holders-kill' && !cell.fault.startsWith('target-');
  if (startedAt !== null && isUnnoticed && startedAt !== (await startOf(bench, home)))
    faults.push('the container was started again');
  const expected = cell.fault === 'holders-kill' && isRunning ? 'recovered' : 'completed';
  const mayGoBack = !isRunning && migration.phase === 'rolled-back';
  if (migration.phase !== expected && !mayGoBack) faults.push(`it ended in ${migration.phase}, not in ${expected}`);
  const now = await bench.shell(home, `docker exec ${CONTAINER} md5sum ${BALLAST}`);
  if (now !== sum) faults.push(`the ballast is ${now}, not ${sum}`);
  await bench.shell(home, `docker exec ${CONTAINER} rm ${BALLAST}`);
  return { migration, note: struck.note, faults };
}

/** The migration when it has ended, with its source released where it arrived. */
async function ending(bench: Bench, id: string): Promise<Migration> {
  const settled = await settle(bench, id);
  return settled.phase === 'copied' || settled.phase === 'completed' ? complete(bench, id, true) : settled;
}

function startOf(bench: Bench, host: HostName): Promise<string> {
  return bench.shell(host, `docker inspect -f '{{.State.StartedAt}}' ${CONTAINER}`);
}
