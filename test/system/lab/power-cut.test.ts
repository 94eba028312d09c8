import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { leftovers, must, shell } from './cargo-lab.ts';

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

  test('keeps a file that was synced alone', async () => {
    await inHost(`cd ${folder}; dd if=/dev/urandom of=alone bs=1M count=8 conv=fsync status=none; sync .`);
    const before = await inHost(`sha256sum ${folder}/alone`);
    await must(['kill', 'h1', '--name', name]);
    await must(['boot', 'h1', '--name', name]);
    expect(await inHost(`sha256sum ${folder}/alone`)).toBe(before);
  });
});
