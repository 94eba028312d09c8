/**
 * The fault matrix: `make faults`. One cell after the other in one lab, a fresh lab after a failed one. A run that was
 * interrupted goes on where it was as long as the code is the same. A whole run writes the page; a part with `--page` does
 * too, with what older runs found for the rest.
 *
 *   node faults/run.ts [--only 'freeze/*,start/target-power'] [--every-point] [--again] [--lab NAME] [--no-controls]
 *     [--page] [--away-seconds 600]
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
import { FaultLab } from './fault-lab.ts';
import { lazyCells } from './lazy-cells.ts';
import { elsewhere, everyPoint, matrix, onceAnswered } from './matrix.ts';
import { Results } from './results.ts';
import { type CellResult, runCell } from './run-cell.ts';
import { runLazyCell } from './run-lazy-cell.ts';
import { runWalk } from './run-walk.ts';
import { runStorm } from './storm.ts';
import { page } from './table.ts';
import { everyWalk, type Walk } from './walks.ts';

/** How long the source has no power while data follows, unless a trial run shortens it. */
const AWAY_SECONDS = 600;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    'every-point': { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    'away-seconds': { type: 'string', default: String(AWAY_SECONDS) },
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
  const failed = await runAll(
    (name) => Bench.start(name),
    seeds.map((seed) => (bench: Bench) => runStorm(bench, seed)),
  );
  console.log(`${storms - failed} of ${storms} storms did no harm`);
  process.exit(failed === 0 && !interruption.signal.aborted ? 0 : 1);
}

const results = Results.load();
const awayMs = Number(values['away-seconds']) * 1000;
if (!(awayMs > 0)) throw new Error('--away-seconds is a number of seconds');
/** Of what takes part. */
let versions = '';
const patterns = values.only.split(',').filter((pattern) => pattern !== '');
const cells = isChosen(values['every-point'] ? everyPoint() : [...matrix(), ...onceAnswered()]);
const walks = isChosen(everyWalk());
const followed = isChosen(lazyCells());
const chosen = [...cells, ...followed, ...walks];
if (chosen.length === 0) throw new Error(`no cell is called ${values.only}`);
const passed = chosen.filter(hasPassed).length;
console.log(
  `${cells.length + followed.length} cells and ${walks.length} walks, ${passed} of them passed already with this code`,
);
await runAll(
  (name) => Bench.start(name),
  [
    ...cells.filter((cell) => !hasPassed(cell)).map((cell) => kept((bench) => runCell(bench, cell))),
    ...followed.filter((cell) => !hasPassed(cell)).map((cell) => kept((bench) => runLazyCell(bench, cell, awayMs))),
  ],
);
await runAll(
  (name) => FaultLab.start(name),
  walks.filter((walk) => !hasPassed(walk)).map((walk) => (lab: FaultLab) => runWalkOf(lab, walk)),
);
if (!values['no-controls']) await runControls(results, matches, interruption.signal);
const isWhole = patterns.length === 0 && !interruption.signal.aborted;
const missing = faultPoints.filter((point) => !results.reached.has(point) && !elsewhere.includes(point));
if ((isWhole || values.page) && !values['every-point']) writePage();
process.exitCode = verdict();

function isChosen<T extends { name: string }>(all: readonly T[]): T[] {
  return all.filter(({ name }) => matches(name));
}

function matches(name: string): boolean {
  return patterns.length === 0 || patterns.some((pattern) => matchesGlob(name, pattern));
}

function hasPassed({ name }: { name: string }): boolean {
  return !values.again && results.find(name)?.faults.length === 0;
}

async function runWalkOf(lab: FaultLab, walk: Walk): Promise<CellResult> {
  const result = await runWalk(lab, walk);
  results.add(result, lab.stops.reached, versions);
  return result;
}

function kept(trial: (bench: Bench) => Promise<CellResult>): (bench: Bench) => Promise<CellResult> {
  return async (bench) => {
    versions ||= `Cargo ${version}, ${await bench.versions()}`;
    const result = await trial(bench);
    results.add(result, bench.stops.reached, versions);
    return result;
  };
}

/** One after the other in one lab, a fresh lab after one that failed. Gives how many failed. */
async function runAll<L extends FaultLab>(
  start: (name: string) => Promise<L>,
  trials: readonly ((lab: L) => Promise<CellResult>)[],
): Promise<number> {
  let lab: L | null = null;
  let failed = 0;
  try {
    for (const [index, trial] of trials.entries()) {
      if (interruption.signal.aborted) break;
      lab ??= await start(values.lab);
      const result = await trial(lab);
      tell(`${index + 1}/${trials.length}`, result);
      if (result.faults.length === 0) continue;
      failed += 1;
      await lab.keepLogs(result.cell);
      await lab[Symbol.asyncDispose]();
      lab = null;
    }
  } finally {
    await lab?.[Symbol.asyncDispose]();
  }
  return failed;
}

function tell(count: string, { cell, point, ended, pauseMs, tookMs, faults, note }: CellResult): void {
  const times = `pause ${(pauseMs / 1000).toFixed(1)} s, took ${(tookMs / 1000).toFixed(1)} s`;
  console.log(
    `${count} ${faults.length === 0 ? 'ok    ' : 'FAILED'} ${cell} at ${point}: ${ended}, ${times}${note === undefined ? '' : `, ${note}`}`,
  );
  for (const fault of faults) console.log(`         ${fault}`);
}

function writePage(): void {
  const all = [...matrix(), ...onceAnswered(), ...lazyCells(), ...everyWalk()];
  const names = new Set(all.map(({ name }) => name));
  const shown = results.all().filter(({ cell }) => names.has(cell));
  const controls = results.allControls();
  const text = page(shown, { runs: results.runs, missing, controls, of: all.length });
  writeFileSync(join(import.meta.dirname, '../docs/faults.md'), text);
  results.writeRecord();
  console.log('docs/faults.md is written');
}

function verdict(): number {
  const failed = chosen.filter(({ name }) => results.find(name)?.faults.length !== 0);
  const unnoticed = values['no-controls'] ? [] : results.controls.filter(({ caught }) => caught === null);
  for (const { name } of unnoticed) console.log(`the control was not noticed: ${name}`);
  if (isWhole) for (const point of missing) console.log(`no cell came by ${point}`);
  console.log(`${chosen.length - failed.length} of ${chosen.length} cells and walks passed`);
  return failed.length + unnoticed.length + (isWhole ? missing.length : 0) === 0 ? 0 : 1;
}
