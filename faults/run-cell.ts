import { z } from 'zod';
import { waitUntil } from '../lab/index.ts';
import { Migration } from '../src/api/migration.ts';
import type { Bench } from './bench.ts';
import { Client } from './client.ts';
import { doom, undoom } from './doom.ts';
import { type Holdings, leftAfterMove, leftAfterRollBack, lookAt } from './leftovers.ts';
import type { Cell } from './matrix.ts';
import { CONTAINER, type HostName, IMAGE, VOLUME } from './names.ts';
import { complete, settle } from './settle.ts';
import { type Roles, strike } from './strike.ts';

const REACHED_MS = 120_000;
const CLEARED_MS = 60_000;

export const CellResult = z.object({
  cell: z.string(),
  point: z.string(),
  /** The phase in which the migration ended. */
  ended: z.string(),
  /** The longest time in which the client had no row acknowledged. */
  pauseMs: z.number(),
  tookMs: z.number(),
  /** Sentences; none where all is well. */
  faults: z.array(z.string()),
  /** A figure of this cell that the page shows. */
  note: z.string().optional(),
});
export type CellResult = z.infer<typeof CellResult>;

/**
 * What is tried: a name, where it strikes, and the migration with all that is done to it, until nothing moves any more.
 * What it finds wrong itself it adds to the result.
 */
export type Trial = {
  name: string;
  point: string;
  isDoomed: boolean;
  /** How long the client goes without a row before it gives up, if not as long as usual. */
  patienceMs?: number;
  migrate: (roles: Roles, result: CellResult) => Promise<Migration>;
};

/** Strikes once in one migration, waits until all has settled, and judges. */
export function runCell(bench: Bench, cell: Cell): Promise<CellResult> {
  const { name, point, isDoomed } = cell;
  return runTrial(bench, {
    name,
    point,
    isDoomed,
    migrate: (roles, { faults }) => strikeInMigration(bench, cell, roles, faults),
  });
}

/** Judges what is left of a migration. Never throws: what goes wrong is a fault. */
export async function runTrial(bench: Bench, trial: Trial): Promise<CellResult> {
  const began = performance.now();
  const result: CellResult = { cell: trial.name, point: trial.point, ended: '', pauseMs: 0, tookMs: 0, faults: [] };
  try {
    await judge(bench, trial, result);
  } catch (error) {
    result.faults.push(saidBy(error));
  }
  result.tookMs = Math.round(performance.now() - began);
  return result;
}

async function judge(bench: Bench, trial: Trial, result: CellResult): Promise<void> {
  const roles: Roles = { source: bench.home, target: bench.away };
  await bench.shell(roles.target, `docker rmi ${IMAGE} >/dev/null 2>&1 || true`);
  bench.stops.clear();
  bench.recorder.forget();
  const before = await lookAt(bench);
  using client = await Client.start(bench, trial.patienceMs);
  const migration = await trial.migrate(roles, result);
  result.ended = migration.phase;
  const hasMoved = migration.phase === 'completed';
  if (hasMoved) bench.home = roles.target;
  const judges = [
    () => client.verdict(bench.home, migration.phase === 'recovered' ? roles.target : null),
    () => bench.recorder.verdict(),
    () => (trial.isDoomed ? undoom(bench, roles.target) : Promise.resolve()).then(() => []),
    () => leftovers(bench, migration.id, { before, roles, hasMoved }, result),
  ];
  for (const ask of judges) result.faults.push(...(await ask().catch((error: unknown) => [saidBy(error)])));
  result.pauseMs = Math.round(client.longestPauseMs());
  bench.stops.clear();
}

export function saidBy(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The migration when it has ended, with its source released where it arrived. */
async function strikeInMigration(bench: Bench, cell: Cell, roles: Roles, faults: string[]): Promise<Migration> {
  const isAfter = cell.step === 'release' || cell.step === 'finish';
  const approach = cell.isDoomed ? 'server.start.send' : cell.until;
  bench.stops.arm(approach ?? cell.point);
  const options = { container: CONTAINER, source: roles.source, target: roles.target };
  const strategy = cell.isLazy ? 'lazy' : 'precopy';
  const { id } = Migration.parse(await bench.server('POST', '/v1/migrations', { ...options, strategy }));
  if (approach !== null) {
    await bench.stops.untilHeld(approach, REACHED_MS);
    if (cell.isDoomed) await doom(bench, roles.target);
    bench.stops.arm(cell.point);
    bench.stops.release(approach);
  }
  const failover = isAfter ? settle(bench, id).then(() => complete(bench, id, false)) : null;
  failover?.catch(() => undefined); // awaited below
  await bench.stops.untilHeld(cell.point, REACHED_MS);
  faults.push(...(await strike(bench, cell.fault, roles, () => bench.stops.release(cell.point))));
  await failover;
  const settled = await settle(bench, id);
  if (settled.phase !== 'copied' && settled.phase !== 'completed') return settled;
  if (!isAfter) await complete(bench, id, false);
  return complete(bench, id, true);
}

/** What a target that was away keeps is cleared when it is back: that has a limit too. */
async function leftovers(
  bench: Bench,
  id: string,
  { before, roles, hasMoved }: { before: Holdings; roles: Roles; hasMoved: boolean },
  result: CellResult,
): Promise<string[]> {
  let left: string[] = [];
  const look = async (): Promise<true | undefined> => {
    const phase = await removeKept(bench, id, roles.target);
    if (phase !== null) result.ended = `${phase}, copy kept`;
    const after = await lookAt(bench);
    left = hasMoved ? leftAfterMove(before, after, roles.source, roles.target) : leftAfterRollBack(before, after);
    return left.length === 0 ? true : undefined;
  };
  await waitUntil('nothing is left behind', CLEARED_MS, look, 500).catch(() => undefined);
  return left;
}

/**
 * A copy that ran at the target and wrote there is kept when the container goes back: done with it what the status says.
 * Gives the phase where there was one, else null.
 */
async function removeKept(bench: Bench, id: string, target: HostName): Promise<string | null> {
  const { activity, phase } = Migration.parse(await bench.server('GET', `/v1/migrations/${id}`));
  const name = /is kept there[:,] stopped, as ([\w-]+)/.exec(activity)?.[1];
  if (name === undefined) return null;
  const remove = `docker rm -v ${name} && docker volume rm ${VOLUME}; docker rmi ${IMAGE}`;
  await bench.shell(target, `if docker inspect ${name} >/dev/null 2>&1; then ${remove}; fi`);
  return phase;
}
