import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cstring } from '../../../src/linux/libc.ts';
import { setXattr } from '../../../src/linux/xattr.ts';
import { TreePair } from './rounds.ts';

const BLOCK = 65536;
let pair: TreePair;
const at = (path: string): string => join(pair.target, path);

beforeEach(async () => {
  pair = new TreePair();
  const source = (path: string): string => join(pair.source, path);
  fs.mkdirSync(source('dir/sub'), { recursive: true });
  fs.mkdirSync(source('quiet'));
  fs.writeFileSync(source('dir/big'), randomBytes(5 * BLOCK + 17));
  fs.writeFileSync(source('dir/sub/small'), 'small');
  fs.writeFileSync(source('quiet/empty'), '');
  fs.linkSync(source('dir/big'), source('hard'));
  fs.symlinkSync('dir', source('link'));
  fs.truncateSync(source('quiet/empty'), 0);
  const sparse = fs.openSync(source('quiet/sparse'), 'w');
  fs.ftruncateSync(sparse, 20 * BLOCK);
  fs.writeSync(sparse, 'data', 7 * BLOCK);
  fs.closeSync(sparse);
  setXattr(cstring(source('dir/big')), cstring('user.note'), Buffer.from('kept'));
  await pair.round({ final: true });
});

afterEach(() => pair[Symbol.dispose]());

/** As a broken disk or another program with root's rights would: the clock stands back to the copy for its ctime. */
function corrupt(path: string, change: () => void): void {
  const state = join(pair.directory, 'target-state', 'target.json');
  change();
  const future = new Date(fs.statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? Date.now());
  fs.utimesSync(state, future, new Date(future.getTime() + 60_000));
}

test('a tree that nobody has touched is what was sent, to the last entry', async () => {
  const verdict = await pair.verify();
  expect(verdict).toMatchObject({ changed: 0, differences: 0, differing: [] });
  // the root, three directories, four files, a second name, a symlink
  expect(verdict.files).toBe(10);
  expect(verdict.bytes).toBe(5 * BLOCK + 17 + 5 + 20 * BLOCK);
});

test('what the container has changed, made, renamed or removed since is told apart and proves nothing', async () => {
  fs.appendFileSync(at('dir/big'), 'more');
  fs.writeFileSync(at('dir/new'), 'new');
  fs.rmSync(at('dir/sub/small'));
  const verdict = await pair.verify();
  expect(verdict).toMatchObject({ differences: 0, differing: [] });
  expect(verdict.changed).toBeGreaterThanOrEqual(4);
  expect(verdict.files, 'the sparse file, the empty one, the link and two directories').toBe(5);
});

test('a directory that was moved away with all that is in it counts as changed', async () => {
  fs.renameSync(at('dir'), at('quiet/dir'));
  expect(await pair.verify()).toMatchObject({ differences: 0 });
});

const corruptions: [string, string, () => void][] = [
  ['one byte', 'dir/big', () => overwrite('dir/big', 3 * BLOCK + 5)],
  ['a byte in a hole', 'quiet/sparse', () => overwrite('quiet/sparse', 15 * BLOCK)],
  ['a length', 'dir/sub/small', () => keepingTimes('dir/sub/small', () => fs.truncateSync(at('dir/sub/small'), 3))],
  ['an owner', 'dir/sub/small', () => fs.chownSync(at('dir/sub/small'), 12, 34)],
  ['a mode', 'quiet', () => fs.chmodSync(at('quiet'), 0o700)],
  ['an mtime', 'quiet/empty', () => fs.utimesSync(at('quiet/empty'), 1, 1)],
  ['an attribute', 'dir/big', () => setXattr(cstring(at('dir/big')), cstring('user.note'), Buffer.from('lost'))],
  ['a missing file', 'quiet/empty', () => keepingTimes('quiet', () => fs.rmSync(at('quiet/empty')))],
  ['a file too much', 'quiet/extra', () => keepingTimes('quiet', () => fs.writeFileSync(at('quiet/extra'), ''))],
  ['a symlink that leads elsewhere', 'link', () => keepingTimes('.', () => relink())],
  ['a hard link that became a file of its own', 'hard', () => keepingTimes('.', () => unlinkHard())],
];

test.each(corruptions)('%s that differs although nobody has changed it is found', async (_, path, change) => {
  corrupt(at(path), change);
  const verdict = await pair.verify();
  expect(verdict.changed).toBe(0);
  // one inode with two names is told of once, by either
  const names = ['dir/big', 'hard'].includes(path) ? ['dir/big', 'hard'] : [path];
  expect(verdict.differing.filter((name) => names.includes(name))).toHaveLength(1);
});

test('without a completed round there is nothing to verify', async () => {
  pair.forget();
  await expect(pair.verify()).rejects.toMatchObject({ code: 'WRONG_PHASE' });
});

function overwrite(path: string, offset: number): void {
  keepingTimes(path, () => {
    const fd = fs.openSync(at(path), 'r+');
    const byte = Buffer.alloc(1);
    fs.readSync(fd, byte, 0, 1, offset);
    fs.writeSync(fd, Buffer.of(~byte.readUInt8()), 0, 1, offset);
    fs.closeSync(fd);
  });
}

function keepingTimes(path: string, change: () => void): void {
  const { atimeNs, mtimeNs } = fs.lstatSync(at(path), { bigint: true });
  change();
  const seconds = (ns: bigint): string => `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;
  execFileSync('touch', ['-h', '-a', '-d', `@${seconds(atimeNs)}`, at(path)]);
  execFileSync('touch', ['-h', '-m', '-d', `@${seconds(mtimeNs)}`, at(path)]);
}

function relink(): void {
  const { mtimeNs } = fs.lstatSync(at('link'), { bigint: true });
  fs.rmSync(at('link'));
  fs.symlinkSync('quiet', at('link'));
  execFileSync('touch', ['-h', '-m', '-d', `@${Number(mtimeNs) / 1e9}`, at('link')]);
}

function unlinkHard(): void {
  execFileSync('cp', ['-a', at('hard'), at('hard.new')]);
  fs.renameSync(at('hard.new'), at('hard'));
}
