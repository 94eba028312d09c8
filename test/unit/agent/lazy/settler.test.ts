import { closeSync, openSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { CHUNK_BYTES } from '../../../../src/agent/lazy/chunks.ts';
import { FileTable } from '../../../../src/agent/lazy/file-table.ts';
import { Settler } from '../../../../src/agent/lazy/settler.ts';

const MIB = 2 ** 20;
const NEVER_MS = 10 * 60_000;

const anyFile = openSync(import.meta.filename, 'r');
afterAll(() => closeSync(anyFile));

/** A settler of two files with nothing in them to sync. `fails`: whether the journal does. */
function settling() {
  const table = FileTable.ofSize(2, 4096, { major: 8, minor: 1 });
  for (const file of [0, 1])
    table.set(file, { inode: file + 1, size: 1024 * MIB, isSparse: false, start: file * 2048 });
  const disk = { fails: false };
  const settler = new Settler({
    ...{ group: -1, mountFd: -1, table, onDone: () => {}, onSyncFailed: () => {} },
    list: {
      at: () => {
        throw new Error('no mark is to go');
      },
    },
    journal: {
      addDurable: async () => {
        if (disk.fails) throw new Error('no room');
      },
    },
    files: { use: () => ({ fd: anyFile, release: () => {} }), close: () => {} },
  });
  const add = (file: number, mib: number): void => settler.add(file, { first: 0, end: (mib * MIB) / CHUNK_BYTES });
  return { settler, disk, add };
}

test('who waits for enough is told when there is, though single files were made durable meanwhile', async () => {
  const { settler, add } = settling();
  const enough = settler.untilEnough(NEVER_MS);
  add(0, 1);
  await settler.settleFile(0);
  expect(settler.unsettledBytes).toBe(0);
  add(1, 32);
  await enough;
  expect(settler.unsettledBytes).toBe(32 * MIB);
  await settler.settleAll();
  expect(settler.unsettledBytes).toBe(0);
});

test('what could not be made durable counts until it is, and is not tried again before more has come', async () => {
  const { settler, disk, add } = settling();
  disk.fails = true;
  add(0, 32);
  await settler.untilEnough(NEVER_MS);
  const end = settler.nextEnd;
  await expect(settler.settleAll()).rejects.toThrow('no room');
  await end;
  expect(settler.unsettledBytes).toBe(32 * MIB);
  const again = settler.untilEnough(NEVER_MS).then(() => 'again');
  expect(await Promise.race([again, new Promise(setImmediate).then(() => 'rests')])).toBe('rests');
  disk.fails = false;
  add(0, 1);
  expect(await again).toBe('again');
  await settler.settleAll();
  expect(settler.unsettledBytes).toBe(0);
});
