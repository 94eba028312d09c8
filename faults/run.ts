/**
 * The fault matrix: `make faults`. One cell after the other in one lab, a fresh lab after a failed one. A run that was
 * interrupted goes on where it was as long as the code is the same.
 *
 *   node faults/run.ts [--only 'freeze/*,start/target-power'] [--every-point] [--again] [--lab NAME] [--no-controls]
 *   node faults/run.ts --storms 50 [--seed 1000] [--lab NAME]
 *
 * A storm is one migration with up to five faults at moments that nobody chose, and sometimes an operator's cancel or start.
 */
import { writeFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { parseArgs } from 'node:util';
import { faultPoints } from '../src/faults/points.ts';
import { version } from '../src/version.ts';
import { Bench } from './bench.ts';
import { runControls } from './controls.ts';
import { type Cell, elsewhere, everyPoint, matrix } from './matrix.ts';
import { Results } from './results.ts';
import { type CellResult, runCell } from './run-cell.ts';
import { runStorm } from './storm.ts';
import { page } from './table.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    'every-point': { type: 'boolean', default: false },
    again: { type: 'boolean', default: false },
    'no-controls': { type: 'boolean', default: false },
    storms: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    lab: { type: 'string', default: `faults-${process.pid}` },
  },
});

const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());

const storms = Number(values.storms);
if (!Number.isInteger(storms) || !Number.isInteger(Number(values.seed)))
  throw new Error('--storms and --seed are whole numbers');
if (storms > 0) {
  const seeds = Array.from({ length: storms }, (_, index) => Number(values.seed) + index);
  const failed = await runAll(seeds.map((seed) => (bench: Bench) => runStorm(bench, seed)));
  console.log(`${storms - failed} of ${storms} storms did no harm`);
  process.exit(failed === 0 && !interruption.signal.aborted ? 0 : 1);
}

const results = Results.load();
const patterns = values.only.split(',').filter((pattern) => pattern !== '');
const all = values['every-point'] ? everyPoint() : matrix();
const chosen = all.filter(
  ({ name }) => patterns.length === 0 || patterns.some((pattern) => matchesGlob(name, pattern)),
);
if (chosen.length === 0) throw new Error(`no cell is called ${values.only}`);
const open = chosen.filter(({ name }) => values.again || results.find(name)?.faults.length !== 0);
console.log(`${chosen.length} cells, ${chosen.length - open.length} of them passed already with this code`);
await runAll(open.map((cell) => (bench: Bench) => runCellOf(bench, cell)));
if (!values['no-controls']) await runControls(results, interruption.signal);
const isWhole = patterns.length === 0 && !interruption.signal.aborted;
const missing = faultPoints.filter((point) => !results.reached.has(point) && !elsewhere.includes(point));
if (isWhole && !values['every-point']) writePage();
process.exitCode = verdict();

async function runCellOf(bench: Bench, cell: Cell): Promise<CellResult> {
  if (results.versions === '') results.versions = `Cargo ${version}, ${await bench.versions()}`;
  const result = await runCell(bench, cell);
  results.add(result, bench.stops.reached);
  return result;
}

/** One after the other in one lab, a fresh lab after one that failed. Gives how many failed. */
async function runAll(trials: readonly ((bench: Bench) => Promise<CellResult>)[]): Promise<number> {
  let bench: Bench | null = null;
  let failed = 0;
  try {
    for (const [index, trial] of trials.entries()) {
      if (interruption.signal.aborted) break;
      bench ??= await Bench.start(values.lab);
      const result = await trial(bench);
      tell(`${index + 1}/${trials.length}`, result);
      if (result.faults.length === 0) continue;
      failed += 1;
      await bench.keepLogs(result.cell);
      await bench[Symbol.asyncDispose]();
      bench = null;
    }
  } finally {
    await bench?.[Symbol.asyncDispose]();
  }
  return failed;
}

function tell(count: string, { cell, point, ended, pauseMs, tookMs, faults }: CellResult): void {
  const times = `pause ${(pauseMs / 1000).toFixed(1)} s, took ${(tookMs / 1000).toFixed(1)} s`;
  console.log(`${count} ${faults.length === 0 ? 'ok    ' : 'FAILED'} ${cell} at ${point}: ${ended}, ${times}`);
  for (const fault of faults) console.log(`         ${fault}`);
}

function writePage(): void {
  const cells = new Set(matrix().map(({ name }) => name));
  const shown = results.all().filter(({ cell }) => cells.has(cell));
  const date = new Date().toISOString().slice(0, 10);
  const { versions } = results;
  const lines = results.controls.map(({ name, caught }) => `${name}: ${caught ?? '**not noticed**'}`);
  writeFileSync(
    join(import.meta.dirname, '../docs/faults.md'),
    page(shown, { date, versions, missing, controls: lines }),
  );
  console.log('docs/faults.md is written');
}

function verdict(): number {
  const failed = chosen.filter(({ name }) => results.find(name)?.faults.length !== 0);
  const unnoticed = values['no-controls'] ? [] : results.controls.filter(({ caught }) => caught === null);
  for (const { name } of unnoticed) console.log(`the control was not noticed: ${name}`);
  if (isWhole) for (const point of missing) console.log(`no cell came by ${point}`);
  console.log(`${chosen.length - failed.length} of ${chosen.length} cells passed`);
  return failed.length + unnoticed.length + (isWhole ? missing.length : 0) === 0 ? 0 : 1;
}
