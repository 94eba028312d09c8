import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { MigrateOptions } from '../../../../src/api/migration.ts';
import { createMigrations } from '../../../../src/server/migrations/index.ts';
import { markRestored } from '../../../../src/server/store/restored.ts';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { TwoHosts } from './two-hosts.ts';

const log = pino({ level: 'silent' });
const options = MigrateOptions.parse({ container: 'db', target: 'h2' });

/** A container has moved; then a server begins with what was known in staging, and an operator cancels. */
async function cancelWithOldKnowledge(dir: string, mark: (store: SqliteStore) => Promise<void>): Promise<TwoHosts> {
  const world = new TwoHosts({ key: 'none', kind: 'fails', times: 0 });
  const store = new SqliteStore(join(dir, 'cargo.db'));
  const server = createMigrations({ store, hosts: world, agents: world, log });
  const over = new AbortController();
  let isTaken = false;
  server.subscribe(({ phase, rounds }) => {
    if (phase === 'staging' && rounds.length === 1 && !isTaken) store.snapshot(join(dir, 'old.db'));
    isTaken ||= phase === 'staging' && rounds.length === 1;
  }, over.signal);
  const { id } = await server.begin(options, over.signal);
  await server.untilRunning(id, AbortSignal.timeout(10_000));
  await server.close();
  await store.close();
  expect([world.source.running, world.target.running]).toEqual([false, true]);

  const old = new SqliteStore(join(dir, 'old.db'));
  await mark(old);
  const restored = createMigrations({ store: old, hosts: world, agents: world, log });
  await restored.resume();
  await Promise.race([restored.cancel(id).catch(() => undefined), delay(3_000)]);
  await restored.close();
  await old.close();
  return world;
}

test('a restored server does nothing for a migration that it knows too little of, and cancels nothing', async () => {
  await using dir = await temporaryDir();
  const world = await cancelWithOldKnowledge(dir.path, markRestored);
  expect([world.source.running, world.target.running]).toEqual([false, true]);
});

test('control: without the mark of the restore the same makes two copies run', async () => {
  await using dir = await temporaryDir();
  const world = await cancelWithOldKnowledge(dir.path, async () => undefined);
  expect([world.source.running, world.target.running]).toEqual([true, true]);
});
