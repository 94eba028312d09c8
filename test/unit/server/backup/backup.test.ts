import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { backUp } from '../../../../src/server/backup/back-up.ts';
import { restore } from '../../../../src/server/backup/restore.ts';
import { serverTerm, wasRestored } from '../../../../src/server/store/restored.ts';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { TestAgent } from '../test-agent.ts';
import { TestServer } from '../test-server.ts';

const kept = ['ca.key', 'ca.pem', 'admin-token', 'read-token', 'server.key', 'server.pem'];
const contents = (dir: string): Promise<string[]> => Promise.all(kept.map((name) => readFile(join(dir, name), 'utf8')));

test('what was backed up while the server ran is the same server elsewhere, with its hosts and its CA', async () => {
  await using dir = await temporaryDir();
  const file = join(dir.path, 'backup');
  const restored = join(dir.path, 'restored');
  await using server = await TestServer.start();
  await using agent = await TestAgent.join(server, 'h1');
  await agent.beat();
  await backUp(server.dir, file);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await restore(file, restored, { force: false });
  expect(await contents(restored)).toEqual(await contents(server.dir));
  for (const name of await readdir(restored)) expect((await stat(join(restored, name))).mode & 0o777).toBe(0o600);
  const store = new SqliteStore(join(restored, 'cargo.db'));
  expect(await store.get(`hosts/${agent.hostId}`)).not.toBeNull();
  expect(await store.list('join-tokens/'), 'tokens may have been used since').toEqual([]);
  expect([await wasRestored(store), (await serverTerm(store)) > 0]).toEqual([true, true]);
  await store.close();
});

test('a stopped server is backed up too, a path that is too long for a socket does not matter', async () => {
  await using dir = await temporaryDir();
  const data = join(dir.path, 'x'.repeat(120));
  const server = await TestServer.start({ dir: data });
  await backUp(data, join(dir.path, 'running'));
  await server[Symbol.asyncDispose]();
  expect(await readdir(data)).not.toContain('backup.sock');
  await backUp(data, join(dir.path, 'stopped'));
  for (const name of ['running', 'stopped']) {
    await restore(join(dir.path, name), join(dir.path, `from-${name}`), { force: false });
    expect(await contents(join(dir.path, `from-${name}`))).toEqual(await contents(data));
  }
  expect((await readdir(dir.path)).filter((name) => name.endsWith('.unfinished'))).toEqual([]);
});

test('a later restore has the higher term', async () => {
  await using dir = await temporaryDir();
  const file = join(dir.path, 'backup');
  await using server = await TestServer.start();
  await backUp(server.dir, file);
  const terms: number[] = [];
  for (const name of ['first', 'second']) {
    await restore(file, join(dir.path, name), { force: false });
    const store = new SqliteStore(join(dir.path, name, 'cargo.db'));
    terms.push(await serverTerm(store));
    await store.close();
  }
  expect(terms[1]).toBeGreaterThan(terms[0] ?? 0);
});

test('a directory that holds something is not replaced unless by force, and never under a server that runs', async () => {
  await using dir = await temporaryDir();
  const file = join(dir.path, 'backup');
  const full = join(dir.path, 'full');
  await using server = await TestServer.start();
  await backUp(server.dir, file);
  const other = await TestServer.start({ dir: full });
  await expect(restore(file, full, { force: false })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  await expect(restore(file, full, { force: true })).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
  expect((await other.call('/v1/hosts')).status).toBe(200);
  expect(await contents(full)).not.toEqual(await contents(server.dir));
  await other[Symbol.asyncDispose]();
  await restore(file, full, { force: true });
  expect(await contents(full)).toEqual(await contents(server.dir));
  await using again = await TestServer.start({ dir: await withJoinToken(full) });
  expect((await again.call('/v1/hosts')).body).toEqual({ hosts: [] });
});

/** TestServer reads the token of a first start, which a restore removes. */
async function withJoinToken(dir: string): Promise<string> {
  await writeFile(join(dir, 'join-token'), '');
  return dir;
}

test.each([
  ['no backup', async (file: string) => writeFile(file, 'nonsense')],
  ['half a backup', async (file: string) => truncate(file, 8192)],
])('%s is refused and nothing is changed', async (_what, damage) => {
  await using dir = await temporaryDir();
  const file = join(dir.path, 'backup');
  await using server = await TestServer.start();
  await backUp(server.dir, file);
  await damage(file);
  const target = join(dir.path, 'target');
  await expect(restore(file, target, { force: false })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  expect(await readdir(target)).toEqual([]);
});

test('what is no data directory is not backed up', async () => {
  await using dir = await temporaryDir();
  await expect(backUp(dir.path, join(dir.path, 'backup'))).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  expect(await readdir(dir.path)).toEqual([]);
});
