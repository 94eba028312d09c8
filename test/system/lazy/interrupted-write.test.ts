import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { armVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { cstring } from '../../../src/linux/libc.ts';
import { setXattr } from '../../../src/linux/xattr.ts';
import { Image } from './images.ts';
import { LazyPair, run } from './lazy-pair.ts';
import { patched } from './patches.ts';
import { bytes } from './trees.ts';

/** CAP_NET_BIND_SERVICE, permitted: struct vfs_cap_data. */
const capability = Buffer.from('0000000200040000000000000000000000000000', 'hex');

/** The hydrator ends in the middle of its first write into a file, when the content is there and nothing is put back. */
const dies = patched({
  module: 'fetcher.ts',
  from: 'putBack(fd, kept);',
  to: "process.kill(process.pid, 'SIGKILL');\n putBack(fd, kept);",
});

/** Name, modification time and capability of every file. */
async function metadata(root: string): Promise<string[]> {
  const program =
    "import os,sys\nfor n in sorted(os.listdir('.')): print(n, os.stat(n).st_mtime_ns, {x: os.getxattr(n, x).hex() for x in os.listxattr(n)})";
  return (await run('python3', ['-c', program], { cwd: root })).stdout.split('\n');
}

test('a hydrator that is killed in the middle of a write leaves the time and the capabilities of the file as they were', async () => {
  using image = new Image('ext4');
  await using pair = new LazyPair(image.path);
  for (let index = 0; index < 4; index += 1) {
    const path = join(pair.source, `file-${index}`);
    fs.writeFileSync(path, bytes(index, 300_000));
    const fd = fs.openSync(path, 'r+');
    setXattr(fd, cstring('security.capability'), capability);
    fs.closeSync(fd);
    fs.utimesSync(path, 1000, 1_234_567.891);
  }
  const expected = await metadata(pair.source);
  await pair.serve();
  await pair.stage();
  for (const [name, value] of Object.entries(dies)) vi.stubEnv(name, value);
  await armVolume(pair.stateDir).catch(() => {});
  vi.unstubAllEnvs();
  await expect.poll(() => pair.hydrator()).toBeNull();
  expect(await metadata(pair.target)).not.toEqual(expected);
  await armVolume(pair.stateDir);
  await pair.finish();
  expect(await metadata(pair.target)).toEqual(expected);
});
