import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cstring } from '../../../src/linux/libc.ts';
import { setXattr } from '../../../src/linux/xattr.ts';
import { TreePair } from './rounds.ts';
import { rsyncDifferences, snapshot } from './snapshot.ts';

const BLOCK = 65536;
type Case = { name: string; change: (at: (path: string) => string) => void; expected: object };

function plant(pair: TreePair): void {
  const at = (path: string): string => join(pair.source, path);
  fs.mkdirSync(at('dir/sub'), { recursive: true });
  fs.mkdirSync(at('other'));
  fs.writeFileSync(at('dir/big'), randomBytes(10 * BLOCK));
  fs.writeFileSync(at('dir/sub/small'), 'small');
  fs.writeFileSync(at('other/big'), randomBytes(10 * BLOCK));
  fs.linkSync(at('dir/big'), at('hard'));
  fs.symlinkSync('dir', at('link'));
}

function overwrite(path: string, offset: number, text: string): void {
  const fd = fs.openSync(path, 'r+');
  const { atime, mtime } = fs.fstatSync(fd);
  fs.writeSync(fd, text, offset);
  fs.futimesSync(fd, atime, mtime);
  fs.closeSync(fd);
}

const cases: Case[] = [
  {
    name: 'an append sends the blocks at the end',
    change: (at) => fs.appendFileSync(at('dir/big'), randomBytes(BLOCK + 1)),
    expected: { files: 1, deleted: 0, bytes: BLOCK + 1 },
  },
  {
    name: 'an overwrite in the middle with the mtime put back sends one block',
    change: (at) => overwrite(at('other/big'), 3 * BLOCK + 5, 'changed'),
    expected: { files: 1, deleted: 0, bytes: BLOCK },
  },
  {
    name: 'a truncation on a block border sends no data',
    change: (at) => fs.truncateSync(at('other/big'), 4 * BLOCK),
    expected: { files: 1, deleted: 0, bytes: 0 },
  },
  {
    name: 'a file renamed into another directory moves without its data',
    change: (at) => fs.renameSync(at('other/big'), at('dir/sub/renamed')),
    expected: { files: 1, deleted: 0, bytes: 0 },
  },
  {
    name: 'a directory renamed moves without its content',
    change: (at) => fs.renameSync(at('dir'), at('other/dir')),
    expected: { files: 1, deleted: 0, bytes: 0 },
  },
  {
    name: 'two files swapped move without their data',
    change: (at) => {
      fs.renameSync(at('dir/big'), at('aside'));
      fs.renameSync(at('other/big'), at('dir/big'));
      fs.renameSync(at('aside'), at('other/big'));
    },
    // One of the two has another name, `hard`, that stays: its old name is simply deleted.
    expected: { files: 2, deleted: 1, bytes: 0 },
  },
  {
    name: 'a directory that changes places with its own child moves',
    change: (at) => {
      fs.renameSync(at('dir/sub'), at('aside'));
      fs.renameSync(at('dir'), at('aside/dir'));
      fs.renameSync(at('aside'), at('sub'));
    },
    expected: { files: 2, deleted: 0, bytes: 0 },
  },
  {
    name: 'a hard link made is a link',
    change: (at) => fs.linkSync(at('other/big'), at('dir/sub/linked')),
    expected: { files: 1, deleted: 0, bytes: 0 },
  },
  {
    name: 'a hard link broken leaves its partner alone',
    change: (at) => {
      fs.rmSync(at('hard'));
      fs.writeFileSync(at('hard'), 'on its own');
    },
    expected: { files: 1, deleted: 1, bytes: 10 },
  },
  {
    name: 'a write through one of two hard links sends the block once',
    change: (at) => overwrite(at('hard'), 0, 'first block'),
    expected: { files: 1, deleted: 0, bytes: BLOCK },
  },
  {
    name: 'a file becomes a directory, a directory a symlink, a symlink a file',
    change: (at) => {
      fs.rmSync(at('hard'));
      fs.mkdirSync(at('hard'));
      fs.rmSync(at('dir/sub'), { recursive: true });
      fs.symlinkSync('../other', at('dir/sub'));
      fs.rmSync(at('link'));
      fs.writeFileSync(at('link'), '12345');
    },
    expected: { bytes: 5 },
  },
  {
    name: 'a deletion of a tree deletes',
    change: (at) => fs.rmSync(at('dir'), { recursive: true }),
    expected: { deleted: 4, bytes: 0, totalFiles: 4 },
  },
  {
    name: 'chmod alone sends metadata',
    change: (at) => fs.chmodSync(at('other/big'), 0o4711),
    expected: { files: 1, deleted: 0, bytes: 0 },
  },
  {
    name: 'an extended attribute alone sends metadata',
    change: (at) => setXattr(cstring(at('other/big')), cstring('user.new'), Buffer.from('value')),
    expected: { files: 1, deleted: 0, bytes: 0 },
  },
  {
    name: 'zeros written over data travel as nothing but are written',
    change: (at) => {
      const fd = fs.openSync(at('other/big'), 'r+');
      fs.writeSync(fd, Buffer.alloc(2 * BLOCK), 0, 2 * BLOCK, BLOCK);
      fs.closeSync(fd);
    },
    expected: { files: 1, deleted: 0, bytes: 0 },
  },
];

describe.for([
  ['the sides know each other from the round before', false],
  ['both have forgotten everything', true],
] as const)('where %s', ([, forgets]) => {
  test.for(cases)('$name', async ({ change, expected }) => {
    using pair = new TreePair();
    plant(pair);
    await pair.round();
    change((path) => join(pair.source, path));
    if (forgets) pair.forget();
    const stats = await pair.round({ final: true });
    if (!forgets) expect(stats).toMatchObject(expected);
    expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
    expect(rsyncDifferences(pair.source, pair.target)).toBe('');
  });
});

test('a receiver whose tree was touched from outside between rounds is compared anew', async () => {
  using pair = new TreePair();
  plant(pair);
  await pair.round();
  fs.writeFileSync(join(pair.target, 'from-the-image'), 'as Docker does with an empty volume');
  fs.chownSync(pair.target, 5, 5);
  expect(await pair.round()).toMatchObject({ deleted: 1, bytes: 0 });
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('a file of the target with names outside the tree is replaced, not written to', async () => {
  using pair = new TreePair();
  fs.writeFileSync(join(pair.source, 'file'), 'from the source');
  fs.writeFileSync(join(pair.target, 'file'), 'must survive!!!');
  const outside = join(pair.directory, 'outside');
  fs.linkSync(join(pair.target, 'file'), outside);
  await pair.round();
  expect(fs.readFileSync(outside, 'utf8')).toBe('must survive!!!');
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('hard links that the target has and the source has not are parted', async () => {
  using pair = new TreePair();
  for (const name of ['a', 'b', 'c']) fs.writeFileSync(join(pair.source, name), `content of ${name}`);
  fs.writeFileSync(join(pair.target, 'a'), 'content of a');
  fs.linkSync(join(pair.target, 'a'), join(pair.target, 'b'));
  fs.linkSync(join(pair.target, 'a'), join(pair.target, 'c'));
  await pair.round();
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('hashes of an older format are not compared with: the contents are, and only what differs travels', async () => {
  using pair = new TreePair();
  plant(pair);
  await pair.round();
  const path = join(pair.directory, 'source-state', 'source.json');
  const { hashKey, ...older } = JSON.parse(fs.readFileSync(path, 'utf8'));
  expect(Buffer.from(hashKey, 'base64')).toHaveLength(32);
  fs.writeFileSync(path, JSON.stringify(older));
  overwrite(join(pair.source, 'other/big'), 0, 'changed');
  expect(await pair.round()).toMatchObject({ files: 1, bytes: BLOCK });
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
  expect(JSON.parse(fs.readFileSync(path, 'utf8')).hashKey).not.toBe(hashKey);
});
