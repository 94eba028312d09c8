import { expect, test } from 'vitest';
import { type FileSystem, fileSystems, Image } from './images.ts';
import { oneTree, operationsFor } from './lockstep-tree.ts';

/** On ext4, and on each of the others; a long run is asked for by the environment, as is the seed of one to repeat. */
const OPERATIONS = Number(process.env['CARGO_LOCKSTEP_OPERATIONS'] ?? 8000);
const OTHERS = Number(process.env['CARGO_LOCKSTEP_OTHERS'] ?? OPERATIONS / 8);
const SEED = Number(process.env['CARGO_LOCKSTEP_SEED'] ?? Date.now() % 0x7fff_ffff);
const A_TREE = 2000;

async function operate(kind: FileSystem, count: number): Promise<void> {
  using image = new Image(kind, 3072);
  const trees = operationsFor(Math.ceil(count / A_TREE), Math.min(A_TREE, count), SEED);
  let kills = 0;
  for (const [index, tree] of trees.entries()) {
    const { wrong, kills: inTree } = await oneTree(image.path, tree);
    kills += inTree;
    expect(wrong, `seed ${SEED}, tree ${index}`).toEqual([]);
  }
  console.log(`${kind}: ${trees.flat(2).length} operations, seed ${SEED}, ${kills} kills of the hydrator`);
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
