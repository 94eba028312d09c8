import fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { cstring } from '../../../src/linux/libc.ts';
import { setXattr } from '../../../src/linux/xattr.ts';
import { type FileSystem, fileSystems, Image } from './images.ts';
import { LazyPair, run } from './lazy-pair.ts';
import { Noise, type Operation, Process } from './lockstep.ts';
import { bytes } from './trees.ts';

/** Of all operations of a file system; a long run is asked for by the environment, as is the seed of one to repeat. */
const OPERATIONS = Number(process.env['CARGO_LOCKSTEP_OPERATIONS'] ?? 10_000);
const OTHERS = Number(process.env['CARGO_LOCKSTEP_OTHERS'] ?? OPERATIONS / 10);
const SEED = Number(process.env['CARGO_LOCKSTEP_SEED'] ?? Date.now() % 0x7fff_ffff);
const A_TREE = 2500;
const A_BATCH = 25;
/** Each has a directory and two processes that take turns in it; all go on at the same time. */
const GROUPS = 3;
const FILES = 40;
const KB = 1024;

/** struct vfs_cap_data: CAP_NET_BIND_SERVICE. */
const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
const sizes = [5 * KB, 70 * KB, 300 * KB + 123, 1100 * KB + 77, 2100 * KB + 5];
const file = fc.nat(FILES + 7);
const operation = fc.tuple(fc.nat(0xffff), file, file, fc.nat(0x7fff_ffff), fc.nat(0x7fff_ffff));

function build(root: string): void {
  for (let index = 0; index < FILES; index += 1) {
    const path = join(root, String(index));
    const size = sizes[index % sizes.length] ?? 0;
    const fd = fs.openSync(path, 'w');
    fs.writeSync(fd, bytes(index, size), 0, size, index % 7 === 3 ? 200 * KB : 0);
    if (index % 3 === 0) {
      setXattr(fd, cstring('user.one'), bytes(index, 300));
      setXattr(fd, cstring('security.capability'), capability);
    }
    fs.closeSync(fd);
    if (index % 8 === 5) fs.linkSync(path, join(root, String(FILES + (index >> 3))));
    fs.chmodSync(path, index % 4 === 1 ? 0o4755 : 0o640);
    fs.utimesSync(path, 1000, 1_000_000 + index / 1000);
  }
}

/** Operations of one group, in the batches in which its processes take turns. */
async function runGroup(processes: readonly Process[], operations: readonly Operation[]): Promise<string[]> {
  for (let at = 0; at < operations.length; at += A_BATCH) {
    const different = await processes[(at / A_BATCH) % processes.length]?.run(operations.slice(at, at + A_BATCH));
    if (different === undefined || different.length > 0) return different ?? [];
  }
  return [];
}

/** Kills the hydrator and starts the next one until `work` is over; how often. */
async function killMeanwhile(pair: LazyPair, work: Promise<unknown>): Promise<number> {
  let kills = 0;
  let isOver = false;
  const over = work.then(() => {
    isOver = true;
  });
  for (; !isOver && kills < 100; kills += 1) {
    await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 300))]);
    const hydrator = pair.hydrator();
    if (hydrator === null || isOver) break;
    await pair.kill(hydrator);
    await armVolume(pair.stateDir);
  }
  await over;
  return kills;
}

/** What differed from a plain copy in one tree, and how often the hydrator was killed. */
async function oneTree(directory: string, groups: readonly Operation[][]): Promise<{ wrong: string[]; kills: number }> {
  await using pair = new LazyPair(directory, { bwlimit: 6_000_000, contentLimit: 4 * KB });
  const plain = join(pair.directory, 'plain');
  for (const index of groups.keys()) {
    const root = join(pair.source, `group-${index}`);
    fs.mkdirSync(root);
    build(root);
  }
  await run('cp', ['-a', pair.source, plain]);
  await pair.begin();
  await using stack = new AsyncDisposableStack();
  const teams: Process[][] = [];
  for (const index of groups.keys()) {
    const [lazy, copy] = [join(pair.target, `group-${index}`), join(plain, `group-${index}`)];
    stack.use(new Noise(lazy));
    teams.push([stack.use(new Process(lazy, copy)), stack.use(new Process(lazy, copy))]);
  }
  const work = Promise.all(groups.map((operations, index) => runGroup(teams[index] ?? [], operations)));
  const kills = await killMeanwhile(pair, work);
  const wrong = (await work).flat();
  if (wrong.length > 0) return { wrong, kills };
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null }).catch(() => {});
  await pair.finish();
  for (const process of teams.flat()) wrong.push(...(await process.run([['end']])));
  return { wrong, kills };
}

async function operate(kind: FileSystem, count: number): Promise<void> {
  using image = new Image(kind, 3072);
  const each = Math.ceil(Math.min(A_TREE, count) / GROUPS);
  const sequence = fc.array(operation, { minLength: each, maxLength: each, size: 'max' });
  const trees = fc.sample(fc.array(sequence, { minLength: GROUPS, maxLength: GROUPS, size: 'max' }), {
    seed: SEED,
    numRuns: Math.ceil(count / (each * GROUPS)),
  });
  let kills = 0;
  for (const [index, tree] of trees.entries()) {
    const { wrong, kills: inTree } = await oneTree(image.path, tree);
    kills += inTree;
    expect(wrong, `seed ${SEED}, tree ${index}`).toEqual([]);
  }
  console.log(`${kind}: ${trees.length * each * GROUPS} operations, seed ${SEED}, ${kills} kills of the hydrator`);
}

test.each(fileSystems)(
  `several processes see on %s what they would see in a plain copy (seed ${SEED})`,
  {
    timeout: 300_000 + OPERATIONS * 30,
  },
  async (kind) => {
    await operate(kind, kind === 'ext4' ? OPERATIONS : OTHERS);
  },
);
