/**
 * The lockstep test for as long as one likes: random operations on lazy volumes and on plain copies of them, compared one by one,
 * on each file system in turn, while hydrators are killed.
 *
 *   node test/system/lazy/long-lockstep.ts [--operations 1000000] [--kinds ext4,xfs,btrfs] [--abreast 2] [--seed N] [--directory /dev/shm]
 *
 * `--operations`: of all file systems together. `--abreast`: volumes at once. After each volume it says how far it is, so an
 * interrupted run has its figure too. SIGTERM or SIGINT: what is begun is brought to its end, and nothing is left. A
 * difference ends the run with status 1; its tree is repeated with the seed that is printed, `--operations 2000` and one kind.
 */
import { parseArgs } from 'node:util';
import { type FileSystem, fileSystems, Image } from './images.ts';
import { oneTree, operationsFor } from './lockstep-tree.ts';

const A_TREE = 2000;
const IMAGE_MIB = 2048;
/** Seeds of trees are apart by more than the trees of any run before it. */
const SEEDS = 0x7fff_ffff;

const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: '1000000' },
    kinds: { type: 'string', default: fileSystems.join(',') },
    abreast: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % SEEDS) },
    directory: { type: 'string', default: '/dev/shm' },
  },
});
const kinds = values.kinds.split(',').map((kind): FileSystem => {
  const known = fileSystems.find((one) => one === kind);
  if (known === undefined) throw new Error(`${kind} is none of ${fileSystems.join(', ')}`);
  return known;
});
const wanted = Math.ceil(Number(values.operations) / A_TREE);
const began = performance.now();
const done = new Map<FileSystem, { operations: number; kills: number }>();
let next = 0;
let isStopped = false;
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    isStopped = true;
  });
}

{
  using stack = new DisposableStack();
  const images = kinds.map((kind) => stack.use(new Image(kind, IMAGE_MIB, values.directory)));
  await Promise.all(Array.from({ length: Number(values.abreast) }, () => work(images)));
}
console.log(`${isStopped ? 'ended early' : 'done'}: ${report()}`);

/** Takes one tree after the other, each on the next file system. */
async function work(images: readonly Image[]): Promise<void> {
  while (!isStopped && next < wanted) {
    const index = next;
    next += 1;
    const image = images[index % images.length];
    if (image === undefined) return;
    const seed = (Number(values.seed) + index) % SEEDS;
    const [tree = []] = operationsFor(1, A_TREE, seed);
    const { wrong, kills } = await oneTree(image.path, tree);
    if (wrong.length > 0) {
      isStopped = true;
      process.exitCode = 1;
      console.error(`DIFFERENT on ${image.kind}, seed ${seed}:\n${wrong.join('\n')}`);
      return;
    }
    const before = done.get(image.kind) ?? { operations: 0, kills: 0 };
    done.set(image.kind, { operations: before.operations + tree.flat().length, kills: before.kills + kills });
    console.log(report());
  }
}

function report(): string {
  const all = [...done.values()];
  const operations = all.reduce((sum, one) => sum + one.operations, 0);
  const kills = all.reduce((sum, one) => sum + one.kills, 0);
  const seconds = (performance.now() - began) / 1000;
  const each = [...done].map(([kind, one]) => `${kind} ${one.operations}`).join(', ');
  const rate = (operations / seconds).toFixed(0);
  return `${operations} operations (${each}), ${kills} kills, no difference${process.exitCode === 1 ? ' but those above' : ''}, ${seconds.toFixed(0)} s, ${rate} a second, seed ${values.seed}`;
}
