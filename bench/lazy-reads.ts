import fs from 'node:fs';
import { median, quantile } from './figures.ts';
import type { LabPair } from './lab-pair.ts';
import { DATA, dropCaches, LazyVolume, only } from './lazy-volume.ts';
import { makeTree } from './trees.ts';
import { SOURCE, TARGET, treePath, waysOf } from './ways.ts';

const COLD_READS = 1000;
const WARM_READS = 20_000;
const FILE_MIB = 64;

/** Quantiles in milliseconds. */
type Waits = { median: number; p99: number; count: number };

/** Cold reads of 4 KiB, alone and with the open before each, bytes a second, and what a read takes once all is here by one of a plain file. */
export type Reads = {
  resting: { read: Waits; openAndRead: Waits };
  copying: { read: Waits; openAndRead: Waits };
  precopy: number;
  front: number;
  background: number;
  warm: { plain: number; after: number };
};

/** The same tree moves in each turn with the container stopped (one round, precopy), and lazily, in three ways that touch it. */
export async function measureReads(pair: LabPair, mib: number, turns: number): Promise<Reads> {
  const shape = { files: mib / FILE_MIB, bytes: FILE_MIB * 2 ** 20 };
  const place = pair.path(SOURCE, treePath('lazy'));
  await makeTree(place, shape, pair.signal);
  const files = Array.from({ length: shape.files }, (_, index) => `${DATA}/d0/file-${index}`);
  const [precopyWay] = waysOf(pair);
  if (precopyWay === undefined) throw new Error('there is no way of ours');
  const bytes = shape.files * shape.bytes;
  const cold = { resting: [] as number[], copying: [] as number[] };
  const rates = { precopy: [] as number[], front: [] as number[], background: [] as number[] };
  const warm = { plain: [] as number[], after: [] as number[] };

  for (let turn = 0; turn < turns; turn += 1) {
    {
      await using ready = await precopyWay.prepare('lazy');
      await dropCaches(pair);
      rates.precopy.push(bytes / (await ready.measure()).seconds);
      await ready.clear(null);
    }
    await moved(`reads-${turn}`, async (volume) => {
      cold.resting.push(...(await volume.touch('cold', String(COLD_READS), '1', ...files)));
      await volume.release();
      cold.copying.push(...(await volume.touch('cold', String(COLD_READS), '2', ...files)));
    });
    await moved(`front-${turn}`, async (volume) => {
      await volume.release();
      rates.front.push((bytes * 1e6) / only(await volume.touch('front', ...files)));
    });
    await moved(`background-${turn}`, async (volume) => {
      const began = performance.now();
      await volume.release();
      await volume.untilHere();
      rates.background.push((bytes * 1000) / (performance.now() - began));
      const [lazy = '', plain = `${DATA}/plain`] = files.slice(0, 1);
      await volume.exec(TARGET, 'cp', lazy, plain);
      // In turn, and more than once: the machine is not always as fast.
      for (let again = 0; again < 3; again += 1) {
        warm.plain.push(...(await volume.touch('warm', String(WARM_READS), '3', plain)));
        warm.after.push(...(await volume.touch('warm', String(WARM_READS), '3', lazy)));
      }
    });
  }
  fs.rmSync(place, { recursive: true });
  return {
    resting: coldWaits(cold.resting),
    copying: coldWaits(cold.copying),
    precopy: median(rates.precopy),
    front: median(rates.front),
    background: median(rates.background),
    warm: { plain: median(warm.plain), after: median(warm.after) },
  };

  async function moved(name: string, work: (volume: LazyVolume) => Promise<void>): Promise<void> {
    const volume = new LazyVolume(pair, name);
    await volume.moveTree(place);
    await work(volume);
    await volume.untilHere();
    await volume.end(place);
  }
}

/** Opens and reads take turns. */
function coldWaits(us: readonly number[]): Reads['resting'] {
  const opens = us.filter((_, index) => index % 2 === 0);
  const reads = us.filter((_, index) => index % 2 === 1);
  return { read: inMs(reads), openAndRead: inMs(reads.map((read, index) => read + (opens[index] ?? 0))) };
}

function inMs(us: readonly number[]): Waits {
  return { median: median(us) / 1000, p99: quantile(us, 0.99) / 1000, count: us.length };
}
