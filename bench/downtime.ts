/**
 * Downtime as a client sees it: a MariaDB under write load, moved there and back, against `docker restart` of the same
 * container. The ways take turns; medians are printed.
 *
 *   node bench/downtime.ts [--runs 5]
 */
import { parseArgs } from 'node:util';
import { run } from '../demo/command.ts';
import { accountAt, addBallast, CONTAINER, startDatabase } from '../demo/database.ts';
import { longestGapMs } from '../demo/gap.ts';
import { addressesOf, bootLab, type Lab } from '../demo/lab.ts';
import { Writer } from '../demo/writer.ts';

const MOVE_LIMIT_MS = 10 * 60_000;
const { values } = parseArgs({ options: { runs: { type: 'string', default: '5' } } });
const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());

await using lab = await bootLab('bench', false, interruption.signal);
const address = await addressesOf(lab, interruption.signal);
const account = (host: string) => accountAt(address(host));
await lab.image('h1', 'mariadb');
await startDatabase(lab, 'h1', account('h1'), interruption.signal);
await addBallast(account('h1'));
const writer = new Writer([account('h1'), account('h2')]);
const written = writer.run();
written.catch(() => interruption.abort());

const gaps = { restart: [] as number[], move: [] as number[] };
const migrate = (from: string, to: string): Promise<unknown> =>
  cargoctl(lab, 'migrate', CONTAINER, '--from', from, '--to', to);
for (let turn = 0; turn < Number(values.runs); turn += 1) {
  const [from, to] = turn % 2 === 0 ? (['h1', 'h2'] as const) : (['h2', 'h1'] as const);
  gaps.restart.push(await gapOf(() => lab.exec(from, ['docker', 'restart', CONTAINER])));
  gaps.move.push(await gapOf(() => migrate(from, to)));
  await cargoctl(lab, 'failover', CONTAINER);
}
writer.stop();
await written;

const [restart, move] = [median(gaps.restart), median(gaps.move)];
console.log(`docker restart  ${seconds(restart)}  (${gaps.restart.map(seconds).join(', ')})`);
console.log(`cargoctl move   ${seconds(move)}  (${gaps.move.map(seconds).join(', ')})`);
console.log(`ratio           ${(move / restart).toFixed(2)}`);

async function gapOf(work: () => Promise<unknown>): Promise<number> {
  await writer.writesAfter(performance.now(), interruption.signal);
  const from = performance.now();
  await work();
  const to = performance.now();
  await writer.writesAfter(to, interruption.signal);
  return longestGapMs(writer.acknowledged, { from, to });
}

function cargoctl({ env }: Lab, ...args: string[]): Promise<string> {
  return run('cargoctl', args, { env, limitMs: MOVE_LIMIT_MS, signal: interruption.signal });
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
