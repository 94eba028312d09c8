import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MigrateOptions } from '../../../../src/api/migration.ts';
import { createMigrations, type Migrations } from '../../../../src/server/migrations/index.ts';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { TwoHosts } from './two-hosts.ts';

let folder: string;
let store: SqliteStore;
let world: TwoHosts;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cargo-turn-'));
  store = new SqliteStore(join(folder, 'cargo.db'));
  world = new TwoHosts({ key: 'none', kind: 'fails', times: 0 });
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const boot = (perHost: number): Migrations =>
  createMigrations({ store, hosts: world, agents: world, log: pino({ level: 'silent' }), perHost });

/** Nobody has a turn: it waits. */
async function waitsWith(server: Migrations): Promise<string> {
  const { id } = await server.begin(
    MigrateOptions.parse({ container: 'db', target: 'h2' }),
    AbortSignal.timeout(10_000),
  );
  const activity = async (): Promise<string> => (await server.get(id)).activity;
  await expect.poll(activity).toMatch(/^waiting: host h1 is busy/);
  expect(await server.get(id)).toMatchObject({ phase: 'planned' });
  return id;
}

test('a migration that waits for its turn can be cancelled, and the container never stopped', async () => {
  const server = boot(0);
  const id = await waitsWith(server);
  expect(await server.cancel(id)).toMatchObject({ phase: 'failed', error: { code: 'CANCELLED' } });
  expect([world.source.running, world.target.running]).toEqual([true, false]);
  await server.close();
});

test('a migration that waits for its turn is still there after a restart of the server, and has it then', async () => {
  const before = boot(0);
  const id = await waitsWith(before);
  await before.close();
  const after = boot(1);
  await after.resume();
  expect(await after.untilRunning(id, AbortSignal.timeout(10_000))).toMatchObject({ phase: 'copied' });
  expect([world.source.running, world.target.running]).toEqual([false, true]);
  await after.close();
});
