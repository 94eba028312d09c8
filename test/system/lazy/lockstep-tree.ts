import fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { cstring } from '../../../src/linux/libc.ts';
import { setXattr } from '../../../src/linux/xattr.ts';
import { LazyPair, run } from './lazy-pair.ts';
import { Noise, type Operation, Process } from './lockstep.ts';
import { bytes } from './trees.ts';

const A_BATCH = 25;
/** Each has a directory and two processes that take turns in it; all go on at the same time. */
const GROUPS = 3;
const FILES = 40;
const KB = 1024;

/** struct vfs_cap_data: CAP_NET_BIND_SERVICE. */
const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
const sizes = [5 * KB, 70 * KB, 300 * KB + 123, 1100 * KB + 77, 2100 * KB + 5];
const file = fc.nat(FILES + 7);
const operation = fc.noBias(fc.tuple(fc.nat(0xffff), file, file, fc.nat(0x7fff_ffff), fc.nat(0x7fff_ffff)));

/** Random operations for `count` trees of about `size` each. */
export function operationsFor(count: number, size: number, seed: number): Operation[][][] {
  const each = Math.ceil(size / GROUPS);
  const sequence = fc.array(operation, { minLength: each, maxLength: each, size: 'max' });
  const groups = fc.array(sequence, { minLength: GROUPS, maxLength: GROUPS, size: 'max' });
  return fc.sample(groups, { seed, numRuns: count });
}

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
async function runGroup(
  processes: readonly Process[],
  operations: readonly Operation[],
  wrong: string[],
): Promise<void> {
  for (let at = 0; at < operations.length && wrong.length === 0; at += A_BATCH) {
    const turn = processes[(at / A_BATCH) % processes.length];
    wrong.push(...((await turn?.run(operations.slice(at, at + A_BATCH))) ?? []));
  }
}

/** Kills the hydrator and starts the next one until `work` is over; how often. */
async function killMeanwhile(pair: LazyPair, work: Promise<unknown>): Promise<number> {
  let kills = 0;
  let isOver = false;
  const over = work.then(() => {
    isOver = true;
  });
  for (; !isOver && kills < 100; kills += 1) {
    await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 500))]);
    const hydrator = pair.hydrator();
    if (hydrator === null || isOver) break;
    await pair.kill(hydrator);
    await armVolume(pair.stateDir);
  }
  await over;
  return kills;
}

/** What differed from a plain copy in one tree, and how often the hydrator was killed. */
export async function oneTree(
  directory: string,
  groups: readonly Operation[][],
): Promise<{ wrong: string[]; kills: number }> {
  await using pair = new LazyPair(directory, { bwlimit: 6_000_000, contentLimit: 4 * KB, restForMs: 1_000 });
  const plain = join(pair.directory, 'plain');
  for (const index of groups.keys()) {
    const root = join(pair.source, `group-${index}`);
    fs.mkdirSync(root);
    build(root);
  }
  await run('cp', ['-a', '--reflink=never', pair.source, plain]);
  await pair.begin();
  await using stack = new AsyncDisposableStack();
  const teams: Process[][] = [];
  for (const index of groups.keys()) {
    const [lazy, copy] = [join(pair.target, `group-${index}`), join(plain, `group-${index}`)];
    stack.use(new Noise(lazy));
    teams.push([stack.use(new Process(lazy, copy)), stack.use(new Process(lazy, copy))]);
  }
  const wrong: string[] = [];
  const work = Promise.all(groups.map((operations, index) => runGroup(teams[index] ?? [], operations, wrong)));
  const kills = await killMeanwhile(pair, work);
  if (wrong.length > 0) return { wrong, kills };
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null }).catch(() => {});
  await pair.finish();
  for (const process of teams.flat()) wrong.push(...(await process.run([['end']])));
  return { wrong, kills };
}
