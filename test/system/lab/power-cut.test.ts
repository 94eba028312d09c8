import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cutPower, findHost, loadLab } from '../../../lab/index.ts';
import { RecordStore } from '../../../src/agent/migrations/record-store.ts';
import { cargoLab, leftovers, must, shell } from './cargo-lab.ts';

const folder = '/var/lib/docker/volumes';
const log = pino({ level: 'silent' });

/** The records of an agent on the disk of a host. */
async function recordsOf(lab: string): Promise<RecordStore> {
  return RecordStore.open(join(await must(['path', 'h1', '--name', lab]), folder, 'records'), log);
}

/** Changes a record again and again, until its disk is gone; `last`: the change that was answered last. */
async function keepWriting(records: RecordStore): Promise<{ last: () => number; ended: Promise<void> }> {
  await records.create('m');
  let last = 0;
  const write = async (): Promise<void> => {
    for (;;) last = (await records.update('m', (record) => ({ ...record, epoch: record.epoch + 1 }))).epoch;
  };
  return { last: () => last, ended: write().catch(() => undefined) };
}

const untilWritten = (writing: { last: () => number }): Promise<void> =>
  expect.poll(writing.last, { interval: 10 }).toBeGreaterThan(20);

/** What it is to be a process that syncs nothing, until it is disposed. */
async function withoutSync(): Promise<Disposable> {
  await using any = await open('/dev/null');
  const handles: { sync: () => Promise<void> } = Object.getPrototypeOf(any);
  const { sync } = handles;
  handles.sync = async () => undefined;
  return {
    [Symbol.dispose]: () => {
      handles.sync = sync;
    },
  };
}

describe.each(['ext4', 'xfs', 'btrfs'])('a power cut on %s', (fs) => {
  const name = `power-${fs}-${process.pid}`;
  const inHost = (script: string) => shell(name, 'h1', script);

  beforeAll(async () => {
    await must(['up', '--bare', '--hosts', '1', '--fs', fs, '--disk', '2G', '--name', name]);
  });

  afterAll(async () => {
    await must(['down', '--name', name]);
    expect(leftovers(name)).toEqual([]);
  });

  test('loses what was not synced and keeps what was; an agent that answers without a sync forgets', async () => {
    expect(await inHost(`stat --file-system --format %T ${folder}`)).toMatch(fs === 'ext4' ? 'ext2/ext3' : fs);
    await inHost(`cd ${folder}; echo kept >synced; sync; echo lost >unsynced; echo lost >>synced`);
    const lab = loadLab(name);
    using _unsynced = await withoutSync();
    const writing = await keepWriting(await recordsOf(name));
    await untilWritten(writing);
    await cutPower(lab, findHost(lab, 'h1'));
    await writing.ended;
    expect(await must(['status', '--name', name])).toMatch(/^h1 .* down/);
    await must(['boot', 'h1', '--name', name]);
    // The name of the unsynced file may have been written down by then (ext4: every 5 s), never its content.
    expect(await inHost(`cd ${folder}; cat synced unsynced 2>/dev/null || true`)).toBe('kept');
    expect((await recordsOf(name)).find('m')?.epoch ?? 0).toBeLessThan(writing.last());
  });

  test('keeps every line and every record whose sync was acknowledged, while other writes are under way', async () => {
    const others = 'while :; do dd if=/dev/zero of=junk bs=1M count=50 status=none; done';
    const writer = `cd ${folder}; (${others}) & i=0; while :; do i=$((i+1)); echo $i >>lines && sync lines && echo $i; done`;
    const client = spawn(cargoLab, ['exec', '--name', name, 'h1', '--', 'sh', '-c', writer], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = once(client, 'close');
    const acknowledged: string[] = [];
    const enough = new Promise<void>((resolve) => {
      createInterface(client.stdout).on('line', (line) => {
        if (acknowledged.push(line) === 20) resolve();
      });
    });
    await inHost(`rm -rf ${folder}/records`);
    const writing = await keepWriting(await recordsOf(name));
    await enough;
    await untilWritten(writing);
    await must(['kill', 'h1', '--name', name]);
    await Promise.all([ended, writing.ended]);
    await must(['boot', 'h1', '--name', name]);
    const found = (await inHost(`cat ${folder}/lines`)).split('\n');
    expect(found.slice(0, acknowledged.length)).toEqual(acknowledged);
    expect((await recordsOf(name)).get('m').epoch - writing.last()).toBeLessThanOrEqual(1);
    expect((await recordsOf(name)).get('m').epoch).toBeGreaterThanOrEqual(writing.last());
    expect(found.length - acknowledged.length).toBeLessThanOrEqual(1); // synced, the power gone before it was said
  });
});
