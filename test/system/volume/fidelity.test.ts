import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { unprotectTree } from '../../../src/agent/volume/index.ts';
import { removeAll, TreePair } from './rounds.ts';
import { buildAdversarialTree, rsyncDifferences, snapshot, withoutBlocks } from './snapshot.ts';

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

test('an immutable tree is changed, renamed and at last removed as the source asks', async () => {
  using pair = new TreePair();
  const [here, there] = [pair.source, pair.target];
  const flag = (flags: string, ...names: string[]) =>
    execFileSync('chattr', [flags, ...names.map((name) => join(here, name))]);
  for (const name of ['sealed/deep', 'moved']) fs.mkdirSync(join(here, name), { recursive: true });
  for (const name of ['sealed/deep/file', 'moved/file', 'log']) fs.writeFileSync(join(here, name), name);
  const sealed = ['sealed/deep/file', 'sealed/deep', 'sealed', 'moved/file', 'moved'];
  flag('+i', ...sealed);
  flag('+a', 'log');
  await pair.round();
  flag('-i', ...sealed);
  fs.renameSync(join(here, 'moved'), join(here, 'sealed/moved'));
  fs.linkSync(join(here, 'sealed/moved/file'), join(here, 'sealed/deep/again'));
  fs.writeFileSync(join(here, 'sealed/deep/file'), 'changed');
  fs.appendFileSync(join(here, 'log'), 'more');
  flag('+i', 'sealed/deep/file', 'sealed/deep', 'sealed', 'sealed/moved/file');
  await pair.round();
  expect(snapshot(there)).toEqual(snapshot(here));
  flag('-i', 'sealed');
  fs.renameSync(join(here, 'sealed/moved'), join(here, 'moved'));
  removeAll(join(here, 'sealed'));
  await pair.round();
  expect(snapshot(there)).toEqual(snapshot(here));
  await expect(fs.promises.rm(there, { recursive: true })).rejects.toThrow();
  await unprotectTree(there);
  fs.rmSync(there, { recursive: true });
});

test('room that is reserved stays so while a file is written to, and goes when it is given back', async () => {
  using pair = new TreePair();
  const path = join(pair.source, 'file');
  const allocate = (...options: string[]) => execFileSync('fallocate', [...options, path]);
  fs.writeFileSync(path, '');
  allocate('-l', '1M');
  await pair.round();
  const write = (at: number) => {
    const fd = fs.openSync(path, 'r+');
    fs.writeSync(fd, 'data', at);
    fs.closeSync(fd);
  };
  for (const change of [
    () => write(70_000),
    () => write(500_000),
    () => allocate('-p', '-o', '8192', '-l', '100000'),
  ]) {
    change();
    const { bytes } = await pair.round();
    expect(bytes).toBeLessThanOrEqual(65536);
    expect(withoutBlocks(snapshot(pair.target))).toEqual(withoutBlocks(snapshot(pair.source)));
  }
  allocate('-p', '-o', '0', '-l', '1M');
  await pair.round();
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
  expect(fs.lstatSync(join(pair.target, 'file')).blocks).toBe(0);
});
