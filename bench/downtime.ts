/**
 * Downtime as a client sees it, from the last answer to the next: a MariaDB of several sizes and a file server with few and
 * many files, moved between two hosts of the lab, with `--strategy lazy` and without, beside `docker restart` of the same
 * container and beside an operator's stop, rsync, start; with a write load and without. The ways take turns; medians are
 * printed, with where the time went, and how flat lazy is: its largest downtime ÷ its smallest.
 *
 *   node bench/downtime.ts [--runs 3] [--sizes 155,1024,8192] [--files 1000,200000] [--file-kib 4] [--quick]
 *
 * Sizes are MiB of the database's volume. An empty list leaves that container out.
 */
import { parseArgs } from 'node:util';
import { database, databaseClient, growTo, startEmpty } from './database-workload.ts';
import { cargoWay, type DowntimeWay, operatorWay, restartWay } from './downtime-ways.ts';
import { markdownTable, median, seconds } from './figures.ts';
import { fileClient, fileServer, removeFileServer, startFileServer } from './file-server.ts';
import { type HostName, LabPair } from './lab-pair.ts';
import { describeMachine } from './machine.ts';
import { type Downtime, measureDowntime } from './measure-downtime.ts';
import type { Client, Workload } from './workload.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string' },
    sizes: { type: 'string' },
    files: { type: 'string' },
    'file-kib': { type: 'string', default: '4' },
    quick: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs ?? (values.quick ? 1 : 3));
const sizes = numbers(values.sizes ?? (values.quick ? '155' : '155,1024,8192'));
const fileCounts = numbers(values.files ?? (values.quick ? '1000' : '1000,200000'));
const fileBytes = Number(values['file-kib']) * 1024;

const interruption = new AbortController();
const { signal } = interruption;
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());

/** A median of one data set under one load: what is flat or not. */
type Point = { kind: string; what: string; load: boolean; seconds: number };

const machine = describeMachine();
const results: string[] = [];
const points: Point[] = [];
await using pair = await LabPair.boot('bench-downtime', signal);
let at: HostName = 'h1';
if (sizes.length > 0) await compareDatabases();
for (const files of fileCounts) await compareFileServer(files);
console.log(`\n${machine}; medians of ${runs} turns\n\n${results.join('\n\n')}\n\n${flatness()}`);

async function compareDatabases(): Promise<void> {
  await startEmpty(pair);
  let tables = 0;
  for (const size of sizes) {
    tables = await growTo(pair, at, size, tables);
    for (const load of [true, false]) {
      await using client = databaseClient(pair, { load });
      await compare(database, client, { kind: 'MariaDB', what: `${size} MiB`, load });
    }
  }
  await pair.exec(at, 'docker', 'rm', '-f', database.container);
  await pair.exec(at, 'docker', 'volume', 'rm', database.volume);
}

async function compareFileServer(files: number): Promise<void> {
  at = 'h1';
  await startFileServer(pair, { files, bytes: fileBytes });
  for (const load of [true, false]) {
    await using client = await fileClient(pair, at, { load, files });
    await compare(fileServer, client, { kind: 'file server', what: `${files} files`, load });
  }
  await removeFileServer(pair, at);
}

async function compare(workload: Workload, client: Client, about: Omit<Point, 'seconds'>): Promise<void> {
  const lazy = cargoWay(pair, workload, { strategy: 'lazy', cleanup: true });
  const precopy = cargoWay(pair, workload, { strategy: 'precopy', cleanup: true });
  const ways = [restartWay(pair, workload), lazy, precopy, operatorWay(pair, workload)];
  const title = `${about.kind}, ${about.what}, ${about.load ? 'under a write load' : 'no write load'}`;
  const measured = new Map<DowntimeWay, Downtime[]>(ways.map((way) => [way, []]));
  for (let turn = 0; turn < runs; turn += 1) {
    for (const way of ways) {
      const downtime = await measureDowntime(pair, { workload, client, way, at });
      at = downtime.hosts.to;
      measured.get(way)?.push(downtime);
      console.log(`${title}: ${way.name}: ${JSON.stringify([downtime.timeline, downtime.migration?.switchTimes])}`);
    }
  }
  const rows = [...measured].map(([way, turns]) => ({ way, cells: figuresOf(turns) }));
  const restart = rows[0]?.cells[0] ?? Number.NaN;
  const whole = rows.find(({ way }) => way === lazy)?.cells[0] ?? Number.NaN;
  points.push({ ...about, seconds: whole });
  const head = ['way', 'downtime', '÷ restart', 'stop', 'drain', 'apply', 'arm', 'start', 'healthy', 'first answer'];
  const body = rows.map(({ way, cells: [first = Number.NaN, ...others] }) => {
    return [way.name, cell(first), (first / restart).toFixed(2), ...others.map(cell)];
  });
  results.push(`${title}:\n\n${markdownTable(head, body)}`);
}

/** Medians in seconds: of the whole, then of its parts; NaN where there was no such part. */
function figuresOf(turns: readonly Downtime[]): number[] {
  const of = (part: (turn: Downtime) => number | null | undefined): number => {
    const known = turns.map(part).filter((value) => typeof value === 'number');
    return median(known) / 1000;
  };
  return [
    of(({ timeline }) => timeline.whole * 1000),
    of(({ timeline, migration }) => migration?.switchTimes.stopMs ?? timeline.stop * 1000),
    of(({ migration }) => migration?.switchTimes.drainMs),
    of(({ migration }) => migration?.switchTimes.applyMs),
    of(({ migration }) => migration?.switchTimes.armMs),
    of(({ migration }) => migration?.switchTimes.startMs),
    of(({ migration }) => migration?.switchTimes.healthyMs),
    of(({ timeline }) => timeline.answer * 1000),
  ];
}

function flatness(): string {
  const groups = Map.groupBy(points, ({ kind, load }) => `${kind}, ${load ? 'under a write load' : 'no write load'}`);
  const rows = [...groups].map(([name, group]) => {
    const downtimes = group.map((point) => point.seconds);
    const ratio = Math.max(...downtimes) / Math.min(...downtimes);
    return [name, group.map((point) => `${point.what}: ${seconds(point.seconds)}`).join(', '), ratio.toFixed(2)];
  });
  return `Lazy, largest ÷ smallest:\n\n${markdownTable(['what', 'downtimes', 'largest ÷ smallest'], rows)}`;
}

function numbers(text: string): number[] {
  return text.split(',').filter(Boolean).map(Number);
}

function cell(value: number): string {
  return Number.isNaN(value) ? '–' : seconds(value);
}
