import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Migration } from '../../../../src/api/migration.ts';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { type MigratingAgents, migratingAgents } from '../migrating-agents.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { TestServer } from '../test-server.ts';

let server: TestServer;
let agents: MigratingAgents;
let id: string;
beforeEach(async () => {
  server = await TestServer.start();
  agents = await migratingAgents(server);
  const { body } = await server.call('/cargo', { body: { source: 'h1', target: 'h2', container: 'db' } });
  id = (body as Migration).id;
});
afterEach(async () => {
  await agents[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const verify = () => server.call(`/v1/migrations/${id}/verify`, { method: 'POST' });
const verification = async (): Promise<Migration['verification']> =>
  ((await server.call(`/v1/migrations/${id}`)).body as Migration).verification;

test('a verification begins with 202 and its outcome stays with the migration', async () => {
  expect(await verify()).toMatchObject({ status: 202, body: { verification: { state: 'running', endedAt: null } } });
  await expect.poll(verification).toMatchObject({ state: 'passed', files: 3, bytes: 100, error: null });
  agents.endVerify({ differences: 1, differing: ['db: ibdata1'] });
  await verify();
  await expect.poll(verification).toMatchObject({ state: 'failed', differing: ['db: ibdata1'] });
});

test('while it runs there is no second one and no failover; afterwards a failover ends what could be verified', async () => {
  agents.holdVerify();
  await verify();
  for (const path of ['verify', 'failover']) {
    const refused = await server.call(`/v1/migrations/${id}/${path}`, { method: 'POST' });
    expect(refused).toMatchObject({ status: 409, body: { error: { code: 'WRONG_PHASE' } } });
  }
  agents.endVerify({});
  await expect.poll(verification).toMatchObject({ state: 'passed' });
  await expect
    .poll(() => server.call(`/v1/migrations/${id}/failover`, { method: 'POST' }))
    .toMatchObject({ status: 200 });
  expect(await verify()).toMatchObject({
    status: 409,
    body: { error: { message: expect.stringContaining('let go') } },
  });
});

test('one whose server ends, or dies, meanwhile is told as unfinished', async () => {
  await using dir = await temporaryDir();
  await using first = await TestServer.start({ dir: dir.path });
  await using hosts = await migratingAgents(first);
  const moved = await first.call('/cargo', { body: { source: 'h1', target: 'h2', container: 'db' } });
  const path = `/v1/migrations/${(moved.body as Migration).id}`;
  hosts.holdVerify();
  await first.call(`${path}/verify`, { method: 'POST' });
  await first[Symbol.asyncDispose]();
  await using second = await TestServer.start({ dir: dir.path });
  const ended = { verification: { state: 'unfinished', error: { code: 'SERVER_UNREACHABLE' } } };
  expect((await second.call(path)).body).toMatchObject(ended);
  await second[Symbol.asyncDispose]();

  const store = new SqliteStore(join(dir.path, 'cargo.db'));
  const key = path.replace('/v1/', '');
  const record = JSON.parse((await store.get(key))?.value ?? '');
  await store.put(
    key,
    JSON.stringify({ ...record, verification: { ...record.verification, state: 'running', error: null } }),
  );
  await store.close();
  await using third = await TestServer.start({ dir: dir.path });
  expect((await third.call(path)).body).toMatchObject(ended);
});
