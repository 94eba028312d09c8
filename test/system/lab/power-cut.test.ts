import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cargoLab, leftovers, must, shell } from './cargo-lab.ts';

const folder = '/var/lib/docker/volumes';

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

  test('loses what was not synced and keeps what was', async () => {
    expect(await inHost(`stat --file-system --format %T ${folder}`)).toMatch(fs === 'ext4' ? 'ext2/ext3' : fs);
    await inHost(`cd ${folder}; echo kept >synced; sync; echo lost >unsynced; echo lost >>synced`);
    await must(['kill', 'h1', '--name', name]);
    expect(await must(['status', '--name', name])).toMatch(/^h1 .* down/);
    await must(['boot', 'h1', '--name', name]);
    // The name of the unsynced file may have been written down by then (ext4: every 5 s), never its content.
    expect(await inHost(`cd ${folder}; cat synced unsynced 2>/dev/null || true`)).toBe('kept');
  });

  test('keeps every line whose sync was acknowledged, while other writes are under way', async () => {
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
    await enough;
    await must(['kill', 'h1', '--name', name]);
    await ended;
    await must(['boot', 'h1', '--name', name]);
    const found = (await inHost(`cat ${folder}/lines`)).split('\n');
    expect(found.slice(0, acknowledged.length)).toEqual(acknowledged);
    expect(found.length - acknowledged.length).toBeLessThanOrEqual(1); // synced, the power gone before it was said
  });
});
