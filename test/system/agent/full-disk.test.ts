import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { RecordStore } from '../../../src/agent/migrations/record-store.ts';

const log = pino({ level: 'silent' });

/** A disk of 4 MiB, for as long as the work takes. */
async function withSmallDisk(work: (path: string) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'cargo-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'cargo-test', path]);
  try {
    await work(path);
  } finally {
    execFileSync('umount', [path]);
    rmdirSync(path);
  }
}

function fill(path: string): void {
  expect(() => writeFileSync(join(path, 'filler'), Buffer.alloc(8 * 1024 * 1024))).toThrow('ENOSPC');
}

test('what became of a migration is written down although the disk is full, also again and again', async () => {
  await withSmallDisk(async (path) => {
    const records = await RecordStore.open(join(path, 'migrations'), log);
    await records.create('m1');
    fill(path);
    for (let epoch = 1; epoch <= 20; epoch += 1) await records.update('m1', (record) => ({ ...record, epoch }));
    const again = await RecordStore.open(join(path, 'migrations'), log);
    expect(again.get('m1').epoch).toBe(20);
  });
});

test('control: without the reserve a full disk keeps the record from being written', async () => {
  await withSmallDisk(async (path) => {
    const records = await RecordStore.open(join(path, 'migrations'), log);
    await records.create('m1');
    execFileSync('rm', [join(path, 'migrations', '.reserve')]);
    fill(path);
    await expect(records.update('m1', (record) => ({ ...record, epoch: 1 }))).rejects.toThrow('ENOSPC');
  });
});
