import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { RecordStore } from '../../../../src/agent/migrations/record-store.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const log = pino({ level: 'silent' });

test('what was changed is there after a restart', async () => {
  await using root = await temporaryDirectory();
  const store = await RecordStore.open(root.path, log);
  await store.create('m1');
  await store.update('m1', (record) => ({ ...record, epoch: 7 }));
  const again = await RecordStore.open(root.path, log);
  expect(again.get('m1').epoch).toBe(7);
});

test('changes of one record made at once are all kept', async () => {
  await using root = await temporaryDirectory();
  const store = await RecordStore.open(root.path, log);
  await store.create('m1');
  const bump = () => store.update('m1', (record) => ({ ...record, epoch: record.epoch + 1 }));
  await Promise.all(Array.from({ length: 20 }, bump));
  const again = await RecordStore.open(root.path, log);
  expect(again.get('m1').epoch).toBe(20);
});

test('a half-written replacement left by a crash does not touch the record', async () => {
  await using root = await temporaryDirectory();
  const store = await RecordStore.open(root.path, log);
  await store.create('m1');
  await store.update('m1', (record) => ({ ...record, epoch: 3 }));
  await writeFile(join(root.path, 'm1', 'record.json.unfinished'), '{"id":"m1","epo');
  const again = await RecordStore.open(root.path, log);
  expect(again.get('m1').epoch).toBe(3);
  expect((await again.update('m1', (record) => ({ ...record, epoch: 4 }))).epoch).toBe(4);
});

test('a change that throws leaves memory and disk as they were', async () => {
  await using root = await temporaryDirectory();
  const store = await RecordStore.open(root.path, log);
  await store.create('m1');
  const failing = store.update('m1', () => {
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect((await store.update('m1', (record) => ({ ...record, epoch: 1 }))).epoch).toBe(1);
});

test('a crash while a record was made or dropped leaves nothing after the next start', async () => {
  await using root = await temporaryDirectory();
  await mkdir(join(root.path, 'm1', 'mount-0'), { recursive: true });
  await writeFile(join(root.path, 'm1', 'mount-0', 'manifest'), 'left over');
  const store = await RecordStore.open(root.path, log);
  expect(store.find('m1')).toBeNull();
  expect(await readdir(root.path)).toEqual(['.reserve']);
});

test('a damaged record fails the calls for its migration alone and is never overwritten', async () => {
  await using root = await temporaryDirectory();
  const store = await RecordStore.open(root.path, log);
  await store.create('whole');
  await store.create('torn');
  const path = join(root.path, 'torn', 'record.json');
  await writeFile(path, '{"id":"torn"');
  const again = await RecordStore.open(root.path, log);
  expect(again.get('whole').id).toBe('whole');
  expect(() => again.get('torn')).toThrow(/record of migration torn is damaged/);
  await expect(again.create('torn')).rejects.toThrow(/damaged/);
  await expect(again.remove('torn')).rejects.toThrow(/damaged/);
  expect(await readFile(path, 'utf8')).toBe('{"id":"torn"');
});

test('an id that is no file name is refused', async () => {
  await using root = await temporaryDirectory();
  const store = await RecordStore.open(root.path, log);
  for (const id of ['../m1', '.', '', 'a/b', 'x'.repeat(65)]) {
    await expect(store.create(id)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  }
  expect(await readdir(root.path)).toEqual(['.reserve']);
});
