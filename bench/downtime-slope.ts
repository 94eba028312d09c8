/**
 * How a move's downtime grows with what changes: a large MariaDB moved back and forth with `--strategy precopy` while more
 * and more of its tables change all the time, each a file of 256 MiB, and the line through the downtimes. A changed file is
 * read whole in the last round; what travels are its changed blocks.
 *
 *   node bench/downtime-slope.ts [--gib 4]
 */
import { parseArgs } from 'node:util';
import { accountAt } from '../demo/database.ts';
import { addTables, TouchingLoad } from './database-load.ts';
import { database, databaseClient, startEmpty, TABLE_BYTES } from './database-workload.ts';
import { cargoWay, changedAsideMiB } from './downtime-ways.ts';
import { fitLine, markdownTable, seconds } from './figures.ts';
import { type HostName, LabPair } from './lab-pair.ts';
import { describeMachine } from './machine.ts';
import { measureDowntime } from './measure-downtime.ts';

/** Of the tables, which change while the database is moved: none, a quarter, … all. */
const SHARES = [0, 0.25, 0.5, 0.75, 1];

const { values } = parseArgs({ options: { gib: { type: 'string', default: '4' } } });
const tables = (Number(values.gib) * 2 ** 30) / TABLE_BYTES;
const interruption = new AbortController();
const { signal } = interruption;
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());

/** `changedMiB`: size of the files that changed since the round before the last one began. Times in seconds. */
type Move = { changedMiB: number; whole: number; stop: number; lastRound: number };

const machine = describeMachine();
await using pair = await LabPair.boot('bench-downtime', signal);
await startEmpty(pair);
await addTables(accountAt(pair.address('h1')), { first: 0, count: tables, bytes: TABLE_BYTES }, signal);
await using client = databaseClient(pair, { load: true });
const touching = new TouchingLoad((['h1', 'h2'] as const).map((host) => accountAt(pair.address(host))));
const touched = touching.run();
const way = cargoWay(pair, database, { strategy: 'precopy', cleanup: false });
let at: HostName = 'h1';
await move(); // leaves a base: from now on only differences travel
const moves: Move[] = [];
for (const share of [...SHARES, ...SHARES.toReversed()]) {
  touching.tables = Math.round(share * tables);
  moves.push(await move());
}
touching.stop();
await touched;
const { slope, at0 } = fitLine(moves.map(({ changedMiB, whole }) => ({ x: changedMiB / 1024, y: whole })));
const rows = moves
  .toSorted((a, b) => a.changedMiB - b.changedMiB)
  .map((one) => [`${one.changedMiB.toFixed(0)} MiB`, ...[one.whole, one.stop, one.lastRound].map(seconds)]);
const line = `${at0.toFixed(2)} s + ${slope.toFixed(2)} s per GiB of changed files`;
console.log(`\n${machine}\n\n${line}\n\n${markdownTable(['changed files', 'downtime', 'stop', 'last round'], rows)}`);

async function move(): Promise<Move> {
  const { timeline, gap, hosts, migration } = await measureDowntime(pair, { workload: database, client, way, at });
  at = hosts.to;
  const [before, last] = [migration?.rounds.at(-2)?.durationMs ?? 0, migration?.rounds.at(-1)?.durationMs ?? 0];
  const since = gap.from + performance.timeOrigin - before;
  const changedMiB = await changedAsideMiB(pair, database, hosts.from, since);
  console.log(JSON.stringify({ changedMiB, ...timeline }));
  return { changedMiB, whole: timeline.whole, stop: timeline.stop, lastRound: last / 1000 };
}
