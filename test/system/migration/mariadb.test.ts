import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Migration } from '../../../src/api/migration.ts';
import { LabUnderTest } from '../lab.ts';
import { Database } from './database-under-load.ts';
import { tracesOfHydration } from './traces.ts';

let lab: LabUnderTest;
let database: Database;

beforeAll(async () => {
  lab = await LabUnderTest.open();
  database = await Database.start(lab, 'shop', 3307);
});

/** Nothing of it stays where it was: each test copies the whole of it. */
afterEach(async () => {
  if ((await lab.status('shop')).phase !== 'copied') return;
  const left = await lab.cargoctl('failover', 'shop', '--cleanup');
  expect(left, left.stderr).toMatchObject({ status: 0 });
});

afterAll(() => database[Symbol.asyncDispose]());

/** Resolves with the migration once it is over or the container runs at the target. */
async function settled(): Promise<Migration> {
  await expect
    .poll(async () => (await lab.status('shop')).phase, { timeout: 150_000, interval: 100 })
    .toMatch(/^(copied|completed|rolled-back|failed)$/);
  return lab.status('shop');
}

async function begin(to: string, ...options: string[]): Promise<void> {
  const begun = await lab.cargoctl('migrate', 'shop', '--to', to, '--strategy', 'precopy', ...options, '--detach');
  expect(begun, begun.stderr).toMatchObject({ status: 0 });
}

async function dataArrives(): Promise<void> {
  const arrived = async (): Promise<number> => (await lab.status('shop')).bytes.local;
  await expect.poll(arrived, { timeout: 60_000, interval: 50 }).toBeGreaterThan(0);
}

test('a MariaDB under load moves, fails over and moves back, and no acknowledged row is lost', async () => {
  await using load = await database.load('h1');
  const moved = await lab.cargoctl('migrate', 'shop', '--to', 'h2', '--strategy', 'precopy', '--watch');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  await load.writesOn('h2');
  expect((await lab.cargoctl('failover', 'shop')).status).toBe(0);
  const back = await lab.cargoctl('migrate', 'shop', '--to', 'h1', '--strategy', 'precopy');
  expect(back, back.stderr).toMatchObject({ status: 0 });
  await load.expectWholeOn('h1');
});

test('the server is killed while data is copied, and carries the migration on when it is back', async () => {
  await using load = await database.load('h1');
  await begin('h2', '--bwlimit', '40M');
  await dataArrives();
  await lab.lab('kill-server');
  await lab.lab('restart-server');
  expect(await settled()).toMatchObject({ phase: 'copied' });
  await load.expectWholeOn('h2');
});

test('the source agent is killed while data is copied, and the transfer goes on when it is back', async () => {
  await using load = await database.load('h2');
  await begin('h1', '--bwlimit', '40M');
  await dataArrives();
  await lab.lab('kill-agent', 'h2');
  await lab.lab('restart-agent', 'h2');
  expect(await settled()).toMatchObject({ phase: 'copied' });
  await load.expectWholeOn('h1');
});

test('the target loses its link in the switch: the source waits for its answer, and one copy runs in the end', async () => {
  await using load = await database.load('h1');
  await begin('h2');
  await expect.poll(async () => (await lab.status('shop')).phase, { timeout: 60_000, interval: 20 }).toBe('switching');
  await lab.lab('cut', 'h2');
  const rolled = expect.poll(async () => (await lab.status('shop')).activity, { timeout: 120_000, interval: 100 });
  await rolled.toMatch(/waiting|rolling back/);
  await lab.lab('heal', 'h2');
  const ended = await settled();
  await load.expectWholeOn(ended.phase === 'copied' ? 'h2' : 'h1');
});

test('a MariaDB runs at the target before its data is there; agents may be killed, and no acknowledged row is lost', async () => {
  // The test before this one ends on either.
  const before = await lab.status('shop');
  const [home, away] = before.phase === 'completed' ? [before.target, before.source] : [before.source, before.target];
  await using load = await database.load(home);
  // The limit holds for the rounds before the start, too: 1.3 MB of small files.
  const moved = await lab.cargoctl('migrate', 'shop', '--to', away, '--strategy', 'lazy', '--bwlimit', '500K');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  const paused = await lab.cargoctl('pause', 'shop');
  expect(paused, paused.stderr).toMatchObject({ status: 0 });
  expect(await lab.status('shop')).toMatchObject({ phase: 'hydrating', strategy: 'lazy', paused: true });
  await load.writesOn(away);
  const early = await lab.cargoctl('failover', 'shop');
  expect(early, 'nothing lets go of a source that has data alone').toMatchObject({ status: 4 });
  expect(early.stderr).toMatch(/\d+ bytes of shop in \d+ files are still on h\d alone/);

  for (const host of [away, home]) {
    await lab.lab('kill-agent', host);
    await lab.lab('restart-agent', host);
  }
  await load.writesOn(away);
  for (const change of [
    ['set', 'shop', '--bwlimit', 'none'],
    ['resume', 'shop'],
  ]) {
    const made = await lab.cargoctl(...change);
    expect(made, made.stderr).toMatchObject({ status: 0 });
  }
  expect(await settled()).toMatchObject({ phase: 'copied' });
  await load.expectWholeOn(away);
  expect(await tracesOfHydration(lab, away), 'nothing of the engine is left').toBe('0');
});
