import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { Migration } from '../src/api/migration.ts';
import type { Bench } from './bench.ts';
import { doom } from './doom.ts';
import { type FaultName, faultNames } from './matrix.ts';
import { CONTAINER, hostNames } from './names.ts';
import { type CellResult, runTrial } from './run-cell.ts';
import { complete, settle } from './settle.ts';
import { type Roles, strikeFor } from './strike.ts';

/** What operators do while all this goes on; a cancel may come too late, and no start by hand may do anything. */
const hands = ['nothing', 'cancel', 'start everything'] as const;

type Blow = { fault: FaultName; afterMs: number; lastsMs: number };
/** Faults one after the other at moments that nobody chose, in one migration. */
type Storm = { blows: Blow[]; isDoomed: boolean; hand: (typeof hands)[number]; handAfterMs: number };

const storms: fc.Arbitrary<Storm> = fc.record({
  blows: fc.array(
    fc.record({
      fault: fc.constantFrom(...faultNames),
      // A migration of the bench takes about five seconds: most blows are to fall within it.
      afterMs: fc.oneof(fc.integer({ min: 0, max: 800 }), fc.integer({ min: 0, max: 5_000 })),
      lastsMs: fc.oneof(fc.integer({ min: 0, max: 1_500 }), fc.integer({ min: 0, max: 15_000 })),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  isDoomed: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  hand: fc.constantFrom(...hands),
  handAfterMs: fc.integer({ min: 0, max: 10_000 }),
});

/** The storm of a seed is always the same; what it meets is not. */
export function runStorm(bench: Bench, seed: number): Promise<CellResult> {
  const [storm] = fc.sample(storms, { seed, numRuns: 1 });
  if (storm === undefined) throw new Error(`seed ${seed} gives no storm`);
  return runTrial(bench, {
    name: `storm/${seed}`,
    point: tell(storm),
    isDoomed: storm.isDoomed,
    migrate: (roles) => migrateIn(bench, storm, roles),
  });
}

async function migrateIn(bench: Bench, storm: Storm, roles: Roles): Promise<Migration> {
  const { id } = Migration.parse(
    await bench.server('POST', '/v1/migrations', {
      container: CONTAINER,
      source: roles.source,
      target: roles.target,
      strategy: 'precopy',
    }),
  );
  // After the plan, which would say so.
  if (storm.isDoomed) await doom(bench, roles.target);
  const [, , migration] = await Promise.all([blow(bench, storm, roles), interfere(bench, storm, id), end(bench, id)]);
  return migration;
}

async function blow(bench: Bench, { blows }: Storm, roles: Roles): Promise<void> {
  for (const { fault, afterMs, lastsMs } of blows) {
    await delay(afterMs);
    await strikeFor(bench, fault, roles, lastsMs);
  }
}

async function interfere(bench: Bench, { hand, handAfterMs }: Storm, id: string): Promise<void> {
  if (hand === 'nothing') return;
  await delay(handAfterMs);
  // Whoever is away, or says that it is too late, is not asked again.
  if (hand === 'cancel') await bench.server('DELETE', `/v1/migrations/${id}`).catch(() => undefined);
  else await Promise.allSettled(hostNames.map((host) => bench.shell(host, 'docker start $(docker ps -aq) || true')));
}

async function end(bench: Bench, id: string): Promise<Migration> {
  const settled = await settle(bench, id);
  return settled.phase === 'copied' || settled.phase === 'completed' ? complete(bench, id, true) : settled;
}

function tell({ blows, isDoomed, hand, handAfterMs }: Storm): string {
  const faults = blows.map(({ fault, afterMs, lastsMs }) => `${fault} after ${afterMs} ms for ${lastsMs} ms`);
  const others = [...(isDoomed ? ['doomed'] : []), ...(hand === 'nothing' ? [] : [`${hand} after ${handAfterMs} ms`])];
  return [...faults, ...others].join(', ');
}
