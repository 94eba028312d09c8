/**
 * Downtime as a client sees it, from the last acknowledged write to the next: a MariaDB under write load, moved between
 * two hosts of the lab, beside `docker restart` of the same container and beside what an operator does by hand. First
 * with the volume of a new database, then with one of 4 GiB. The ways take turns; medians are printed.
 *
 *   node bench/downtime.ts [--runs 3] [--gib 4]
 *
 * Last, the slope: the same database moved back and forth while more and more of its tables change all the time, each a
 * file of 256 MiB, and the line through the downtimes. A changed file is read whole in the last round; what travels are
 * its changed blocks.
 */
import { parseArgs } from 'node:util';
import { accountAt, startDatabase } from '../demo/database.ts';
import { longestGap } from '../demo/gap.ts';
import { Writer } from '../demo/writer.ts';
import { addTables, TouchingLoad } from './database-load.ts';
import {
  cargoWay,
  changedAsideMiB,
  type DowntimeWay,
  type Hosts,
  lastMigration,
  operatorWay,
  restartWay,
} from './downtime-ways.ts';
import { fitLine, markdownTable, median, seconds } from './figures.ts';
import { type HostName, LabPair } from './lab-pair.ts';
import { describeMachine } from './machine.ts';
import { type Timeline, timelineOf } from './timeline.ts';

const TABLE_BYTES = 256 * 2 ** 20;
/** Of the large database's tables, which change while it is moved for the slope: none, a quarter, … all. */
const SHARES = [0, 0.25, 0.5, 0.75, 1];

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '3' }, gib: { type: 'string', default: '4' } },
});
const runs = Number(values.runs);
const tables = (Number(values.gib) * 2 ** 30) / TABLE_BYTES;
const interruption = new AbortController();
const { signal } = interruption;
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());

/** `changedMiB`: size of the files that changed since the round before the last one began; `sentMiB`: what travelled of them in the last. */
type Move = Timeline & { lastRound: number; changedMiB: number; sentMiB: number };

const machine = describeMachine();
await using pair = await LabPair.boot('bench-downtime', signal);
await Promise.all([pair.demo.image('h1', 'mariadb'), pair.demo.image('h2', 'mariadb')]);
const accounts = (['h1', 'h2'] as const).map((host) => accountAt(pair.address(host)));
const accountOf = (host: HostName) => accountAt(pair.address(host));
await startDatabase(pair.demo, 'h1', accountOf('h1'), signal);
const writer = new Writer(accounts);
const touching = new TouchingLoad(accounts);
const load = Promise.all([writer.run(), touching.run()]);
load.catch(() => interruption.abort());
let at: HostName = 'h1';

const [cleanMove, move] = [cargoWay(pair, { cleanup: true }), cargoWay(pair, { cleanup: false })];
const ways = [
  restartWay(pair),
  cleanMove,
  operatorWay(pair, { seeded: false }),
  operatorWay(pair, { seeded: true }),
] as const;
const results: string[] = [];
await compare();
await addTables(accountOf(at), tables, TABLE_BYTES, signal);
await compare();
await measureSlope();
touching.stop();
writer.stop();
await load;
console.log(`\n${machine}; medians of ${runs} turns\n\n${results.join('\n\n')}`);

async function compare(): Promise<void> {
  const volumeMiB = Number(
    (await pair.exec(at, 'du', '-sm', '/var/lib/docker/volumes/mysqldata/_data')).split('\t')[0],
  );
  const measured: Move[][] = ways.map(() => []);
  for (let turn = 0; turn < runs; turn += 1) {
    for (const [index, way] of ways.entries()) measured[index]?.push(await measure(way));
  }
  const of = (index: number, field: keyof Move): number => median(measured[index]?.map((one) => one[field]) ?? []);
  const rows = ways.map(({ name }, index) => {
    const phases = (['whole', 'stop', 'between', 'lastRound', 'answer'] as const).map((phase) => of(index, phase));
    return [name, ...phases.map(cell), (of(index, 'whole') / of(0, 'whole')).toFixed(2)];
  });
  const head = ['way', 'downtime', 'stopping', 'until started', 'of it last round', 'until it answers', '÷ restart'];
  const [changed, sent] = [of(1, 'changedMiB').toFixed(0), of(1, 'sentMiB').toFixed(1)];
  const load = `under a write load; in the last round files of ${changed} MiB had changed, and ${sent} MiB travelled`;
  results.push(`MariaDB, volume of ${volumeMiB} MiB ${load}:\n\n${markdownTable(head, rows)}`);
}

async function measureSlope(): Promise<void> {
  touching.tables = 0;
  await measure(move); // leaves a base: from now on only differences travel
  const moves: Move[] = [];
  for (const share of [...SHARES, ...SHARES.toReversed()]) {
    touching.tables = Math.round(share * tables);
    moves.push(await measure(move));
  }
  const { slope, at0 } = fitLine(moves.map(({ changedMiB, whole }) => ({ x: changedMiB / 1024, y: whole })));
  const rows = moves
    .toSorted((a, b) => a.changedMiB - b.changedMiB)
    .map((one) => [`${one.changedMiB.toFixed(0)} MiB`, ...[one.whole, one.stop, one.lastRound].map(cell)]);
  const head = ['changed files', 'downtime', 'stopping', 'last round'];
  const line = `${at0.toFixed(2)} s + ${slope.toFixed(2)} s per GiB of changed files`;
  results.push(`Slope: ${line}\n\n${markdownTable(head, rows)}`);
}

async function measure(way: DowntimeWay): Promise<Move> {
  const measured: Move[] = [];
  at = await way.run(at, async (hosts, work) => {
    await writer.writesAfter(performance.now(), signal);
    const from = performance.now();
    await work();
    const to = performance.now();
    await writer.writesAfter(to, signal);
    measured.push(await describe(way, hosts, { from, to }));
  });
  const [only] = measured;
  if (only === undefined) throw new Error(`${way.name} measured nothing`);
  console.log(
    `${way.name}: ${JSON.stringify(only, (_, value) => (typeof value === 'number' ? +value.toFixed(3) : value))}`,
  );
  return only;
}

async function describe(way: DowntimeWay, hosts: Hosts, span: { from: number; to: number }): Promise<Move> {
  const gap = longestGap(writer.acknowledged, span);
  if (gap === null) throw new Error('no row was acknowledged');
  const timeline = await timelineOf(pair, gap, hosts);
  if (way !== move && way !== cleanMove)
    return { ...timeline, lastRound: Number.NaN, changedMiB: Number.NaN, sentMiB: Number.NaN };
  const { rounds } = await lastMigration(pair);
  const [before, last] = [rounds.at(-2)?.durationMs ?? 0, rounds.at(-1)?.durationMs ?? 0];
  const changedMiB = await changedAsideMiB(pair, hosts.from, gap.from + performance.timeOrigin - before);
  return { ...timeline, lastRound: last / 1000, changedMiB, sentMiB: (rounds.at(-1)?.bytes ?? 0) / 2 ** 20 };
}

function cell(value: number): string {
  return Number.isNaN(value) ? '–' : seconds(value);
}
