import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { rsyncDifferences, snapshot } from '../volume/snapshot.ts';
import { fileSystems, Image } from './images.ts';
import { isRunning, LazyPair, run } from './lazy-pair.ts';
import { bytes } from './trees.ts';

const LARGE = 'sub/deep/large';

const MB = 2 ** 20;

function buildTree(root: string): void {
  fs.mkdirSync(join(root, 'sub/deep'), { recursive: true });
  fs.writeFileSync(join(root, 'small'), bytes(1, 1000));
  for (let i = 0; i < 6; i += 1) fs.writeFileSync(join(root, `sub/middle-${i}`), bytes(10 + i, 200_000 + i));
  fs.writeFileSync(join(root, LARGE), bytes(2, 20 * MB + 123));
  fs.linkSync(join(root, 'sub/middle-0'), join(root, 'linked'));
  const sparse = fs.openSync(join(root, 'sparse'), 'w');
  fs.writeSync(sparse, bytes(3, 100_000), 0, 100_000, 0);
  fs.writeSync(sparse, bytes(4, 70_000), 0, 70_000, 5 * MB);
  fs.ftruncateSync(sparse, 9 * MB);
  fs.closeSync(sparse);
  fs.writeFileSync(join(root, 'table'), bytes(5, 16 * MB));
  execFileSync('fallocate', ['-o', String(16 * MB), '-l', String(2 * MB), join(root, 'table')]);
  fs.chmodSync(join(root, 'sub/middle-1'), 0o4750);
  fs.utimesSync(join(root, 'sub/middle-2'), 1_000_000, 1_234_567.891);
}

/** All that counts of a tree but where its holes are. */
function visible(root: string): string[] {
  return snapshot(root).map((line) => line.replace(/ \| (blocks|reserved) .*?(?= \||$)/g, ''));
}

test('a tree in which nothing is to follow needs no hydrator', async () => {
  using image = new Image('ext4');
  await using pair = new LazyPair(image.path, {});
  fs.writeFileSync(join(pair.source, 'small'), bytes(1, 1000));
  await pair.begin();
  expect(pair.hydrator()).toBeNull();
  expect(await controlVolume(pair.stateDir, { do: 'resume' })).toMatchObject({ phase: 'finished', files: 0 });
  await pair.finish();
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

test('a volume that is complete sooner than it is asked for something answers that it is finished', async () => {
  using image = new Image('ext4');
  await using pair = new LazyPair(image.path, {});
  fs.writeFileSync(join(pair.source, 'one'), bytes(1, 70_000));
  await pair.begin();
  await pair.finish();
  expect(await controlVolume(pair.stateDir, { do: 'resume' })).toMatchObject({ phase: 'finished', files: 1 });
});

test('a hydrator that dies while somebody waits for the end is replaced', async () => {
  using image = new Image('ext4');
  await using pair = new LazyPair(image.path, { bwlimit: 1000 });
  fs.writeFileSync(join(pair.source, 'one'), bytes(1, 200_000));
  await pair.begin();
  await pair.kill(pair.hydrator() ?? 0);
  const ended = pair.finish();
  const hurried = () => controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
  await expect.poll(() => hurried().catch(() => null), { timeout: 10_000 }).not.toBeNull();
  await ended;
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

describe.each(fileSystems)('on %s', (kind) => {
  test('a lazy tree looks whole at once, arrives in the background, and leaves nothing behind', async () => {
    using image = new Image(kind);
    await using pair = new LazyPair(image.path, { bwlimit: 1 });
    buildTree(pair.source);
    const expected = visible(pair.source);
    await pair.begin();
    const armed = await pair.status();
    expect(armed.phase).toBe('armed');
    expect(armed.bytesMissing).toBeGreaterThan(35 * MB);

    await run('cmp', ['-n', '4096', '-i', '9000000', join(pair.source, LARGE), join(pair.target, LARGE)]);
    // A database extends its tables by reserving room: such a file is not waited for as a whole.
    await run('cmp', ['-n', '4096', '-i', '9000000', join(pair.source, 'table'), join(pair.target, 'table')]);
    const read = await pair.status();
    expect(read.waits).toBeGreaterThan(0);
    expect(armed.bytesMissing - read.bytesMissing).toBeLessThan(8 * MB);

    await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
    const holders = await pair.holders();
    expect(holders).toHaveLength(2);
    await pair.finish();
    expect(visible(pair.target)).toEqual(expected);
    expect(rsyncDifferences(pair.source, pair.target)).toBe('');
    expect(pair.hydrator()).toBeNull();
    expect(holders.filter(isRunning)).toEqual([]);
  });
});

test('pause holds the background copy, and readers are served all the same', async () => {
  using image = new Image('ext4');
  await using pair = new LazyPair(image.path, { bwlimit: 1000 });
  buildTree(pair.source);
  await pair.begin();
  await controlVolume(pair.stateDir, { do: 'pause' });
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
  await run('cmp', [join(pair.source, 'sub/deep/large'), join(pair.target, LARGE)]);
  const status = await pair.status();
  expect(status.paused).toBe(true);
  expect(status.bytesMissing).toBeGreaterThan(0);
  await controlVolume(pair.stateDir, { do: 'resume' });
  await pair.finish();
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

test('a file that somebody holds open from before is found before the tree is declared safe', async () => {
  using image = new Image('ext4');
  await using pair = new LazyPair(image.path);
  buildTree(pair.source);
  await pair.serve();
  await pair.stage();
  const reader = spawn('sh', ['-c', `exec 3<"${join(pair.target, LARGE)}"; echo open; read line`]);
  try {
    await once(reader.stdout, 'data');
    await expect(armVolume(pair.stateDir)).rejects.toThrow(/has a file of the volume open/);
  } finally {
    reader.stdin.end();
    await once(reader, 'exit');
  }
  await armVolume(pair.stateDir);
  await pair.finish();
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});
