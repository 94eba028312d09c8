import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bench } from '../../../faults/bench.ts';
import { cellAt } from '../../../faults/matrix.ts';
import { runCell } from '../../../faults/run-cell.ts';

/** The whole matrix takes most of an hour: `make faults`. These are the cells that tell the most. */
const cells = [
  cellAt('start', 'target-kill', 'target.start.started', 'the target is killed between start and record'),
  cellAt('freeze', 'source-power', 'source.freeze.renamed', 'the source loses power, half frozen'),
  cellAt('start', 'server-kill', 'server.start.send', 'the server is killed when the start was written down, not sent'),
  cellAt('thaw', 'both-kill', 'source.thaw.gate-open', 'both agents are killed on the way back'),
];

let bench: Bench;

beforeAll(async () => {
  bench = await Bench.start(`faults-${process.pid}`);
});

afterAll(() => bench[Symbol.asyncDispose]());

test.each(cells.map((cell) => [cell.name, cell] as const))(
  '%s: no row is lost, one copy runs, nothing is left',
  async (_, cell) => {
    const result = await runCell(bench, cell);
    expect(result).toMatchObject({ faults: [], ended: cell.isDoomed ? 'rolled-back' : 'completed' });
  },
);
