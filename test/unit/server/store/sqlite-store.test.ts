import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { storeConformance } from './conformance.ts';

storeConformance('SqliteStore', async () => {
  const dir = await temporaryDir();
  const store = new SqliteStore(join(dir.path, 'cargo.db'));
  return {
    store,
    async dispose() {
      await store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
});

test('entries, revisions and history outlive the process', async () => {
  await using dir = await temporaryDir();
  const path = join(dir.path, 'cargo.db');
  const first = new SqliteStore(path);
  await first.put('a', '1');
  const revision = await first.put('a', '2');
  await first.close();
  const second = new SqliteStore(path);
  expect(await second.get('a')).toEqual({ key: 'a', value: '2', createRevision: 1, modRevision: revision });
  const events = second.watch('', 0, AbortSignal.timeout(5_000))[Symbol.asyncIterator]();
  expect((await events.next()).value).toEqual({ type: 'put', key: 'a', value: '1', revision: 1 });
  expect((await events.next()).value).toEqual({ type: 'put', key: 'a', value: '2', revision });
  await second.close();
});

test('a lease goes on with its full time when the Store is opened again, and then takes its keys', async () => {
  await using dir = await temporaryDir();
  const path = join(dir.path, 'cargo.db');
  const first = new SqliteStore(path);
  await first.put('a', '1', { lease: await first.grantLease(300) });
  await first.close();
  const second = new SqliteStore(path);
  expect(await second.get('a')).not.toBeNull();
  for await (const event of second.watch('', 1, AbortSignal.timeout(5_000))) {
    expect(event).toEqual({ type: 'delete', key: 'a', value: null, revision: 2 });
    break;
  }
  await second.close();
});

test('a watcher that fell behind the compacted history is told so, one that kept up is not', async () => {
  await using dir = await temporaryDir();
  const store = new SqliteStore(join(dir.path, 'cargo.db'), { events: 20, bytes: 1_000_000 });
  const recent = store.watch('quiet/', 0, AbortSignal.timeout(5_000))[Symbol.asyncIterator]();
  const first = recent.next();
  for (let round = 0; round < 100; round += 1) await store.put('busy/a', String(round));
  const behind = store.watch('quiet/', 3, AbortSignal.timeout(5_000))[Symbol.asyncIterator]();
  await expect(behind.next()).rejects.toMatchObject({ code: 'STORE_CONFLICT', message: /compacted/ });
  await store.put('quiet/a', 'x');
  expect((await first).value).toMatchObject({ key: 'quiet/a', revision: 101 });
  await store.close();
});

test('the history is bounded by its bytes too', async () => {
  await using dir = await temporaryDir();
  const store = new SqliteStore(join(dir.path, 'cargo.db'), { events: 1_000_000, bytes: 10_000 });
  for (let round = 0; round < 50; round += 1) await store.put('a', 'x'.repeat(1_000));
  const watch = store.watch('', 38, AbortSignal.timeout(5_000))[Symbol.asyncIterator]();
  await expect(watch.next()).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
  const recent = store.watch('', 45, AbortSignal.timeout(5_000))[Symbol.asyncIterator]();
  expect((await recent.next()).value).toMatchObject({ revision: 46 });
  await store.close();
});

test('the file is for its owner alone, and another process is refused while it is open', async () => {
  await using dir = await temporaryDir();
  const path = join(dir.path, 'cargo.db');
  const store = new SqliteStore(path);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await openElsewhere(path)).toMatch(/^STORE_CONFLICT another process has .* open/);
  await store.close();
  expect(await openElsewhere(path)).toBe('opened');
});

async function openElsewhere(path: string): Promise<string> {
  const module = new URL('../../../../src/server/store/sqlite-store.ts', import.meta.url);
  const script = `import { SqliteStore } from ${JSON.stringify(module)};
    try { await new SqliteStore(${JSON.stringify(path)}).close(); console.log('opened'); }
    catch (error) { console.log(error.code, error.message); }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output] = await Promise.all([child.stdout.toArray(), once(child, 'close')]);
  return Buffer.concat(output).toString().trim();
}
