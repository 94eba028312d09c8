import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cutPower, findHost, foldersOf, hostGroup, loadLab } from '../../../lab/index.ts';
import { RecordStore } from '../../../src/agent/migrations/record-store.ts';
import { cargoLab, leftovers, must, shell } from './cargo-lab.ts';

const folder = '/var/lib/docker/volumes';
const recordWriter = join(import.meta.dirname, 'record-writer.ts');
const log = pino({ level: 'silent' });

const recordsFolder = async (lab: string) => join(await must(['path', 'h1', '--name', lab]), folder, 'records');

/** The records of an agent on the disk of a host. */
async function recordsOf(lab: string): Promise<RecordStore> {
  return RecordStore.open(await recordsFolder(lab), log);
}

/** Gives each line that a process says, until it ends. */
function linesOf(client: ChildProcessByStdio<null, Readable, null>, enough: number) {
  const lines: string[] = [];
  const ended = once(client, 'close');
  const said = new Promise<void>((resolve) => {
    createInterface(client.stdout).on('line', (line) => {
      if (lines.push(line) === enough) resolve();
    });
  });
  return { lines, said, ended };
}

/** A process of the host, but for its code, changes a record again and again, until the power goes. */
async function keepWriting(lab: string, ...options: string[]) {
  const groups = foldersOf(hostGroup(loadLab(lab), findHost(loadLab(lab), 'h1')));
  const join_ = `for group in ${groups.join(' ')}; do echo $$ >$group/cgroup.procs; done; exec "$@"`;
  const program = [process.execPath, recordWriter, await recordsFolder(lab), ...options];
  const writing = linesOf(spawn('sh', ['-ec', join_, 'sh', ...program], { stdio: ['ignore', 'pipe', 'inherit'] }), 20);
  return { ...writing, last: () => Number(writing.lines.at(-1)) };
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
    const writing = await keepWriting(name, '--without-sync');
    await writing.said;
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
    const command = ['exec', '--name', name, 'h1', '--', 'sh', '-c', writer];
    const client = linesOf(spawn(cargoLab, command, { stdio: ['ignore', 'pipe', 'ignore'] }), 20);
    await inHost(`rm -rf ${folder}/records`);
    const writing = await keepWriting(name);
    await Promise.all([client.said, writing.said]);
    await must(['kill', 'h1', '--name', name]);
    await Promise.all([client.ended, writing.ended]);
    await must(['boot', 'h1', '--name', name]);
    const found = (await inHost(`cat ${folder}/lines`)).split('\n');
    expect(found.slice(0, client.lines.length)).toEqual(client.lines);
    expect((await recordsOf(name)).get('m').epoch - writing.last()).toBeLessThanOrEqual(1);
    expect((await recordsOf(name)).get('m').epoch).toBeGreaterThanOrEqual(writing.last());
    expect(found.length - client.lines.length).toBeLessThanOrEqual(1); // synced, the power gone before it was said
  });
});
