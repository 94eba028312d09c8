/**
 * Data that follows its container, over the lab's link between two real hosts: what a read waits for, how fast all of it comes,
 * what a database notices, and the same touches through sshfs and overlayfs, as Cargo of 2015 had it.
 *
 *   node bench/lazy.ts [--quick] [--mib 1024] [--turns 3] [--files 10000] [--only reads,database,union]
 *
 * Real migrations with `--strategy lazy`; what touches the data runs in the container (bench/touches.pl, pgbench). The page
 * cache is dropped before each turn: contents are cold at the source too. Medians are printed, and ratios within this run.
 * `--quick`: one turn, a quarter of the bytes, a tenth of the files.
 */
import { parseArgs } from 'node:util';
import { markdownTable } from './figures.ts';
import { LabPair } from './lab-pair.ts';
import { measureDatabase } from './lazy-database.ts';
import { measureReads } from './lazy-reads.ts';
import { measureUnion } from './lazy-union.ts';
import { describeMachine } from './machine.ts';
import { SOURCE } from './ways.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    mib: { type: 'string' },
    turns: { type: 'string' },
    files: { type: 'string' },
    only: { type: 'string', default: 'reads,database,union' },
  },
});
const mib = Number(values.mib ?? (values.quick ? 256 : 1024));
const turns = Number(values.turns ?? (values.quick ? 1 : 3));
const files = Number(values.files ?? (values.quick ? 1000 : 10_000));
/** Above what travels before the container starts. */
const FILE_BYTES = 80 * 1024;
const parts = values.only.split(',');
const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());

const machine = describeMachine();
await using pair = await LabPair.boot('bench-lazy', interruption.signal);
await Promise.all([pair.demo.image(SOURCE, 'postgres'), pair.demo.image(SOURCE, 'busybox')]);
const rows: string[][] = [];

if (parts.includes('reads')) {
  const { resting, copying, precopy, front, background, warm } = await measureReads(pair, mib, turns);
  const wait = ({ median, p99, count }: typeof resting.read): string =>
    `median ${median.toFixed(2)} ms, p99 ${p99.toFixed(1)} ms (${count} reads)`;
  for (const [when, aim, { read, openAndRead }] of [
    ['background copy resting', 'median 1 ms', resting],
    ['background copy at full speed', 'p99 10 ms', copying],
  ] as const) {
    rows.push([`cold read of 4 KiB, ${when}`, aim, wait(read)]);
    rows.push([`the same with the open before it, ${when}`, '', wait(openAndRead)]);
  }
  rows.push([`cold sequential read of ${mib} MiB ÷ precopy`, '0.8', share(front, precopy)]);
  rows.push([`background copy of ${mib} MiB ÷ precopy`, '1.0', share(background, precopy)]);
  const us = `${warm.after.toFixed(2)} µs for ${warm.plain.toFixed(2)} µs`;
  rows.push([
    'read of 4 KiB after the end ÷ of a plain file',
    '1.0',
    `**${(warm.after / warm.plain).toFixed(2)}** (${us})`,
  ]);
  report();
}
if (parts.includes('database')) {
  const load = values.quick
    ? { scale: 5, seconds: 5, runs: 1, fillerMiB: 256 }
    : { scale: 20, seconds: 10, runs: 3, fillerMiB: 1024 };
  const { native, during, after, missingAfterwards } = await measureDatabase(pair, load);
  const tps = (value: number): string =>
    `**${(value / native).toFixed(2)}** (${value.toFixed(0)} of ${native.toFixed(0)} a second)`;
  const left = `; ${(missingAfterwards / 2 ** 20).toFixed(0)} MiB were missing when it ended`;
  rows.push(['pgbench while data follows at 10 MiB/s, the database here ÷ native', '0.9', tps(during) + left]);
  rows.push(['pgbench after the end ÷ native', '1.0', tps(after)]);
  report();
}
if (parts.includes('union')) {
  const { cargo, union } = await measureUnion(pair, { files, bytes: FILE_BYTES, imageMiB: mib });
  const beside = (ours: number, theirs: number): string =>
    `${time(ours)} for ${time(theirs)}: **${(theirs / ours).toFixed(1)} × as fast**`;
  const read = '4 KiB somewhere in a large file for the first time, for sshfs and overlayfs';
  rows.push([read, 'faster', beside(cargo.firstRead, union.firstRead)]);
  rows.push([
    `first write to a file of ${mib} MiB, for the same`,
    'faster',
    beside(cargo.firstWrite, union.firstWrite),
  ]);
  rows.push([`stat and read ${files} files of 80 KiB, for the same`, 'faster', beside(cargo.scan, union.scan)]);
  report();
}

/** All that is known until now: a run of many minutes may be interrupted. */
function report(): void {
  console.log(`\n${machine}; ${turns} turns\n\n${markdownTable(['what', 'aim', 'measured'], rows)}`);
}

function share(ours: number, theirs: number): string {
  const mibs = (rate: number): string => (rate / 2 ** 20).toFixed(0);
  return `**${(ours / theirs).toFixed(2)}** (${mibs(ours)} of ${mibs(theirs)} MiB/s)`;
}

function time(seconds: number): string {
  return seconds < 0.1 ? `${(seconds * 1000).toFixed(2)} ms` : `${seconds.toFixed(2)} s`;
}
