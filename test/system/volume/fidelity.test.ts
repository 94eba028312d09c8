import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TreePair } from './rounds.ts';
import { buildAdversarialTree, rsyncDifferences, snapshot } from './snapshot.ts';

test('one of everything arrives as it is, seen by rsync and by our own walker', async () => {
  using pair = new TreePair();
  buildAdversarialTree(pair.source);
  await pair.round();
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('a second round of an unchanged tree sends nothing', async () => {
  using pair = new TreePair();
  buildAdversarialTree(pair.source);
  const first = await pair.round();
  const second = await pair.round({ final: true });
  expect(second).toMatchObject({ files: 0, deleted: 0, bytes: 0, totalFiles: first.totalFiles });
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('a target full of something else becomes exactly the source', async () => {
  using pair = new TreePair();
  buildAdversarialTree(pair.source);
  fs.mkdirSync(join(pair.target, 'plain/f1/x'), { recursive: true });
  fs.writeFileSync(join(pair.target, 'links'), 'a file where a directory belongs');
  fs.writeFileSync(join(pair.target, 'extra'), 'extra');
  fs.symlinkSync('/etc', join(pair.target, 'xattrs'));
  fs.writeFileSync(join(pair.target, 'x'), 'one');
  fs.linkSync(join(pair.target, 'x'), join(pair.target, 'y'));
  await pair.round();
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('what an earlier migration left is the base: only differing blocks travel', async () => {
  using pair = new TreePair();
  buildAdversarialTree(pair.source);
  await pair.round();
  pair.forget();
  const path = join(pair.source, 'plain/f1000000');
  const fd = fs.openSync(path, 'r+');
  const { mtimeMs } = fs.fstatSync(fd);
  fs.writeSync(fd, 'changed', 500_000);
  fs.futimesSync(fd, mtimeMs / 1000, mtimeMs / 1000);
  fs.closeSync(fd);
  const again = await pair.round();
  expect(again.bytes).toBe(65536);
  expect(again.deleted).toBe(0);
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('a sparse file of 6 GiB stays sparse, and takes no longer than its data', async () => {
  using pair = new TreePair();
  buildAdversarialTree(pair.source, 'huge');
  const stats = await pair.round();
  expect(stats.bytes).toBeLessThan(4 << 20);
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('a tree deeper than PATH_MAX arrives', async () => {
  using pair = new TreePair();
  const depth = 700;
  let fd = fs.openSync(pair.source, fs.constants.O_DIRECTORY);
  for (let level = 0; level < depth; level += 1) {
    fs.mkdirSync(`/proc/self/fd/${fd}/directory${level}`);
    fs.writeFileSync(`/proc/self/fd/${fd}/file`, String(level));
    const next = fs.openSync(`/proc/self/fd/${fd}/directory${level}`, fs.constants.O_DIRECTORY);
    fs.closeSync(fd);
    fd = next;
  }
  fs.closeSync(fd);
  await pair.round();
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
  pair.forget();
  expect(await pair.round()).toMatchObject({ files: 0, bytes: 0, totalFiles: 2 * depth });
});

test('a directory of 100,000 files arrives', async () => {
  using pair = new TreePair();
  for (let i = 0; i < 100_000; i += 1) fs.writeFileSync(join(pair.source, `file-${i}`), `content ${i % 1000}`);
  const stats = await pair.round();
  expect(stats).toMatchObject({ files: 100_000, totalFiles: 100_000 });
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

test('a single file is created, then changed in place', async () => {
  using pair = new TreePair();
  fs.rmdirSync(pair.source);
  fs.rmdirSync(pair.target);
  fs.writeFileSync(pair.source, Buffer.alloc(200_000, 'a'), { mode: 0o640 });
  await pair.round({ isFile: true });
  const { ino } = fs.lstatSync(pair.target);
  fs.rmSync(pair.source);
  fs.writeFileSync(pair.source, Buffer.alloc(200_001, 'a'), { mode: 0o600 });
  const stats = await pair.round({ isFile: true, final: true });
  expect(stats.bytes).toBeLessThanOrEqual(65536);
  expect(fs.readFileSync(pair.target)).toEqual(fs.readFileSync(pair.source));
  expect(fs.lstatSync(pair.target)).toMatchObject({ ino, mode: 0o100600, mtimeMs: fs.lstatSync(pair.source).mtimeMs });
});
