/**
 * Cargo's transfer from agent to agent, with mutual authentication and encryption, beside `tar | nc` and an rsync daemon,
 * all between the same two hosts of the lab: each with a disk (ext4) and a network of its own, joined by the lab's link.
 *
 *   node bench/transfer.ts [--quick] [--bulk-files 64] [--bulk-mib 64] [--small-files 100000] [--small-bytes 4096] [--runs 3]
 *
 * The ways take turns, another one first each time; medians are printed. Before each turn everything is synced and the
 * machine's page cache is dropped, then the source's metadata are read once, as Cargo's plan does: contents are cold for
 * all, metadata warm for all. The time is up when the copy is synced to the target's disk. After each turn rsync finds
 * no difference of metadata between the two trees. Copies of many files are kept until the end: ext4 makes new ones far
 * more slowly for minutes after many were removed (it gives no number out twice so soon), whoever comes next.
 * `--quick`: a quarter of the bytes and of the files.
 */
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { markdownTable, median, seconds } from './figures.ts';
import { LabPair } from './lab-pair.ts';
import { describeMachine } from './machine.ts';
import { runGroup } from './process-group.ts';
import { makeTree } from './trees.ts';
import { type Measurement, SOURCE, TARGET, treePath, type Way, waysOf } from './ways.ts';

const MANY_FILES = 1000;
const { values } = parseArgs({
  options: {
    'bulk-files': { type: 'string', default: '64' },
    'bulk-mib': { type: 'string', default: '64' },
    'small-files': { type: 'string', default: '100000' },
    'small-bytes': { type: 'string', default: '4096' },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
  },
});
const share = values.quick ? 4 : 1;
const trees = [
  { tree: 'bulk', files: Number(values['bulk-files']) / share, bytes: Number(values['bulk-mib']) * 2 ** 20 },
  { tree: 'small', files: Number(values['small-files']) / share, bytes: Number(values['small-bytes']) },
];
const runs = Number(values.runs);
const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());

const machine = describeMachine();
await using pair = await LabPair.boot('bench-transfer', interruption.signal);
await pair.demo.image(SOURCE, 'busybox');
const ways = waysOf(pair);
const rows: string[][] = [];
for (const shape of trees) {
  const path = pair.path(SOURCE, treePath(shape.tree));
  await makeTree(path, shape, interruption.signal);
  rows.push(rowOf(shape, await takeTurns(shape)));
  fs.rmSync(path, { recursive: true });
}
const [ours = '', ...peers] = ways.map(({ name }) => name);
const head = ['what', `${ours} (sealed)`, ...peers, 'cargo is', 'whole `cargoctl migrate`'];
console.log(`\n${machine}; medians of ${runs} turns\n\n${markdownTable(head, rows)}`);

async function takeTurns({ tree, files }: (typeof trees)[number]): Promise<Measurement[][]> {
  const isKept = files > MANY_FILES;
  const measured: Measurement[][] = ways.map(() => []);
  for (let turn = 0; turn < runs; turn += 1) {
    for (let place = 0; place < ways.length; place += 1) {
      const index = (turn + place) % ways.length;
      const way = ways[index];
      if (way === undefined) continue;
      const measurement = await measure(way, tree, isKept);
      measured[index]?.push(measurement);
      console.log(`${tree}, turn ${turn + 1}: ${way.name} ${seconds(measurement.seconds)}`);
    }
  }
  return measured;
}

async function measure(way: Way, tree: string, isKept: boolean): Promise<Measurement> {
  await using turn = await way.prepare(tree);
  await freshCaches(turn.source);
  const measurement = await turn.measure();
  const differences = await turn.differences();
  if (differences !== '') throw new Error(`${way.name} left differences:\n${differences}`);
  const aside = pair.path(TARGET, treePath(`of-${way.name.replaceAll(' ', '-')}-${performance.now()}`));
  await turn.clear(isKept ? aside : null);
  return measurement;
}

async function freshCaches(source: string): Promise<void> {
  await runGroup(['sync'], interruption.signal);
  fs.writeFileSync('/proc/sys/vm/drop_caches', '3');
  await runGroup(['du', '-s', source], interruption.signal);
}

function rowOf({ files, bytes }: (typeof trees)[number], measured: Measurement[][]): string[] {
  const medians = measured.map((each) => median(each.map((one) => one.seconds)));
  const [cargo = Number.NaN, ...others] = medians;
  const ratios = others.map((other, index) => `${(other / cargo).toFixed(2)} × ${ways[index + 1]?.name}`);
  const whole = median(measured[0]?.map(({ wholeSeconds = Number.NaN }) => wholeSeconds) ?? []);
  const size = bytes < 2 ** 20 ? `${bytes / 1024} KiB` : `${bytes / 2 ** 20} MiB`;
  return [`${files} files of ${size}`, ...medians.map(seconds), ratios.join(', '), seconds(whole)];
}
