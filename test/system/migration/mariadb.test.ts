import { beforeAll, expect, test } from 'vitest';
import { Migration } from '../../../src/api/migration.ts';
import { LabUnderTest } from '../lab.ts';
import { DatabaseUnderLoad } from './database-under-load.ts';

let lab: LabUnderTest;

beforeAll(async () => {
  lab = await LabUnderTest.open();
});

async function status(container: string): Promise<Migration> {
  return Migration.parse(await lab.json('status', container));
}

/** Resolves with the migration once it is over or the container runs at the target. */
async function settled(container: string): Promise<Migration> {
  await expect
    .poll(async () => (await status(container)).phase, { timeout: 150_000, interval: 500 })
    .toMatch(/^(copied|completed|rolled-back|failed)$/);
  return status(container);
}

test('a MariaDB under load moves, fails over and moves back, and no acknowledged row is lost', async () => {
  await using database = await DatabaseUnderLoad.start(lab, 'shop', 3307);
  const moved = await lab.cargoctl('migrate', 'shop', '--to', 'h2', '--watch');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  await database.writesOn('h2');
  expect((await lab.cargoctl('failover', 'shop')).status).toBe(0);
  const back = await lab.cargoctl('migrate', 'shop', '--to', 'h1');
  expect(back, back.stderr).toMatchObject({ status: 0 });
  await database.expectWholeOn('h1');
});

test('the server is killed while data is copied, and carries the migration on when it is back', async () => {
  await using database = await DatabaseUnderLoad.start(lab, 'ledger', 3308);
  const begun = await lab.cargoctl('migrate', 'ledger', '--to', 'h2', '--bwlimit', '40M', '--detach');
  expect(begun, begun.stderr).toMatchObject({ status: 0 });
  await expect.poll(async () => (await status('ledger')).bytes.local, { timeout: 60_000 }).toBeGreaterThan(0);
  await lab.lab('kill-server');
  await lab.lab('restart-server');
  expect(await settled('ledger')).toMatchObject({ phase: 'copied' });
  await database.expectWholeOn('h2');
});

test('the source agent is killed while data is copied, and the transfer goes on when it is back', async () => {
  await using database = await DatabaseUnderLoad.start(lab, 'orders', 3309);
  await lab.cargoctl('migrate', 'orders', '--to', 'h2', '--bwlimit', '40M', '--detach');
  await expect.poll(async () => (await status('orders')).bytes.local, { timeout: 60_000 }).toBeGreaterThan(0);
  await lab.lab('kill-agent', 'h1');
  await lab.lab('restart-agent', 'h1');
  expect(await settled('orders')).toMatchObject({ phase: 'copied' });
  await database.expectWholeOn('h2');
});

test('the target loses its link in the switch: the source waits for its answer, and one copy runs in the end', async () => {
  await using database = await DatabaseUnderLoad.start(lab, 'stock', 3310);
  await lab.cargoctl('migrate', 'stock', '--to', 'h2', '--detach');
  await expect.poll(async () => (await status('stock')).phase, { timeout: 60_000, interval: 20 }).toBe('switching');
  await lab.lab('cut', 'h2');
  const rolled = expect.poll(async () => (await status('stock')).activity, { timeout: 120_000, interval: 500 });
  await rolled.toMatch(/waiting|rolling back/);
  await lab.lab('heal', 'h2');
  const ended = await settled('stock');
  await database.expectWholeOn(ended.phase === 'copied' ? 'h2' : 'h1');
});
