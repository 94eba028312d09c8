import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unprotectTree } from '../../../src/agent/volume/index.ts';
import { removeTree } from '../../../src/agent/volume/remove-tree.ts';
import { PROTECTING_FLAGS, readFlags } from '../../../src/linux/inode-flags.ts';
import { cstring } from '../../../src/linux/libc.ts';
import { close, openDirectory } from '../../../src/linux/open.ts';
import { Helper } from './helper-process.ts';
import { removeAll, TreePair } from './rounds.ts';
import { snapshot } from './snapshot.ts';

/** Swaps directory and symlink, file and symlink, file and FIFO, and takes a directory deeper and back, without end. */
const swapper = `
import os, select, sys
os.chdir(sys.argv[1]); sys.stdin.readline(); print('on')
def swap(a, b):
    try:
        os.rename(a, 'aside'); os.rename(b, a); os.rename('aside', b)
    except OSError: pass
while not select.select([sys.stdin], [], [], 0)[0]:
    for a, b in (('dir', 'link'), ('file', 'file-link'), ('piped', 'pipe')): swap(a, b)
    try:
        os.rename('wander', 'deep/er/wander'); os.rename('deep/er/wander', 'wander')
    except OSError: pass
`;

let pair: TreePair;
let outside: string;

beforeEach(() => {
  pair = new TreePair();
  outside = join(pair.directory, 'outside');
  fs.mkdirSync(join(outside, 'deep'), { recursive: true });
  fs.writeFileSync(join(outside, 'secret'), 'TOP-SECRET');
  fs.writeFileSync(join(outside, 'deep/secret'), 'TOP-SECRET');
  execFileSync('chattr', ['+i', join(outside, 'deep/secret')]);
});
afterEach(() => pair[Symbol.dispose]());

function plant(tree: string): void {
  for (const name of ['dir/deep', 'deep/er', 'wander']) fs.mkdirSync(join(tree, name), { recursive: true });
  for (const name of ['dir/secret', 'dir/deep/secret', 'file', 'piped', 'wander/file'])
    fs.writeFileSync(join(tree, name), 'mine');
  plantSymlinks(tree);
  if (!fs.existsSync(join(tree, 'pipe'))) execFileSync('mkfifo', [join(tree, 'pipe')]);
}

/** Those that are there stay. Nothing else is made again by its path: it could lead outside. */
function plantSymlinks(tree: string): void {
  for (const [name, to] of [
    ['link', outside],
    ['file-link', join(outside, 'secret')],
  ] as const) {
    try {
      fs.symlinkSync(to, join(tree, name));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}

async function attack(tree: string): Promise<Helper> {
  plant(tree);
  const attacker = new Helper(swapper, tree);
  await attacker.ask('go');
  return attacker;
}

/** Tries again and again until it holds, for at most so long. */
async function eventually(limitMs: number, holds: () => boolean): Promise<boolean> {
  for (const end = Date.now() + limitMs; Date.now() < end; await setImmediate()) {
    try {
      if (holds()) return true;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
    }
  }
  return false;
}

test('a source that swaps its names for symlinks and pipes gives nothing away from outside, and holds nobody up', async () => {
  await using _ = await attack(pair.source);
  for (let round = 0; round < 4; round += 1) {
    await pair.round();
    const found = execFileSync('find', [pair.target, '-type', 'f', '-exec', 'cat', '{}', '+'], { encoding: 'utf8' });
    expect(found).not.toContain('TOP-SECRET');
  }
});

test('control: who reads such a source by its paths gets the secret', async () => {
  await using _ = await attack(pair.source);
  const leaks = () => fs.readFileSync(join(pair.source, 'dir/secret'), 'utf8') === 'TOP-SECRET';
  expect(await eventually(20_000, leaks)).toBe(true);
});

test('a target whose names are swapped while it receives is not left', async () => {
  const before = snapshot(outside);
  await using _ = await attack(pair.target);
  plant(pair.source);
  for (let round = 0; round < 4; round += 1) {
    pair.forget();
    for (const name of ['dir/secret', 'file', `dir/new-${round}`]) {
      fs.writeFileSync(join(pair.source, name), `from the source ${round}`);
    }
    await pair.attempt();
    expect(snapshot(outside)).toEqual(before);
    plantSymlinks(pair.target);
  }
});

test('control: who writes into such a target by its paths writes outside', async () => {
  await using _ = await attack(pair.target);
  const escapes = () => {
    fs.writeFileSync(join(pair.target, 'dir/planted'), 'x');
    return fs.existsSync(join(outside, 'planted'));
  };
  expect(await eventually(20_000, escapes)).toBe(true);
});

test('clearing a tree whose names are swapped removes nothing outside, and takes no flag away there', async () => {
  const before = snapshot(outside);
  await using _ = await attack(pair.target);
  for (let attempt = 0; attempt < 20; attempt += 1) {
    await ignoringRaces(() => unprotectTree(pair.target));
    expect(snapshot(outside)).toEqual(before);
  }
  const parent = openDirectory(pair.directory);
  try {
    const isGone = () => !fs.existsSync(pair.target);
    await eventually(10_000, () => {
      removeTree(parent, cstring('target'));
      return isGone();
    });
    expect(isGone()).toBe(true);
  } finally {
    close(parent);
  }
  expect(snapshot(outside)).toEqual(before);
});

test('control: who clears such a tree by its paths takes the flag away outside', async () => {
  await using _ = await attack(pair.target);
  const fd = fs.openSync(join(outside, 'deep/secret'), 'r');
  try {
    const isUnprotected = () => (readFlags(fd) & PROTECTING_FLAGS) === 0;
    const clears = () => {
      execFileSync('sh', ['-c', 'for i in $(seq 200); do chattr -i dir/deep/secret 2>/dev/null; done; true'], {
        cwd: pair.target,
      });
      return isUnprotected();
    };
    expect(await eventually(20_000, clears)).toBe(true);
  } finally {
    fs.closeSync(fd);
    removeAll(outside);
  }
});

async function ignoringRaces(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
  }
}
