import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench } from '../../../faults/bench.ts';
import { cellAt } from '../../../faults/matrix.ts';
import { runCell } from '../../../faults/run-cell.ts';
import { runWalk } from '../../../faults/run-walk.ts';
import { type Kind, type Temptation, walk } from '../../../faults/walks.ts';
import type { FaultPoint } from '../../../src/faults/points.ts';

/** The whole matrix takes more than an hour: `make faults`. These are the cells that tell the most. */
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

/** A source is tempted to run what has left it. At every point of both ways, in all three ways: `make faults`. */
describe('walks', () => {
  const stops = (worst: Temptation): Partial<Record<FaultPoint, Temptation>> => ({
    'source.freeze.renamed': 'hands',
    'source.freeze.effect': 'hands',
    'target.copy-final.effect': 'hands',
    'target.start.permit-used': 'hands',
    'target.start.started': worst,
    'source.release.effect': 'hands',
    'server.completed.written': 'hands',
  });
  const worst: [Kind, Temptation][] = [
    ['volume', 'power'],
    ['bind', 'daemon'],
    ['none', 'power'],
  ];

  beforeAll(() => bench.removeDatabase());

  test.each(worst)(
    'nothing brings a container back that has moved: data %s, at the worst with %s',
    async (kind, how) => {
      expect(await runWalk(bench, walk(kind, 'forward', stops(how)))).toMatchObject({ faults: [], ended: 'completed' });
    },
  );

  test('control: with the gate put back by hand two are found', async () => {
    const tempted = walk('volume', 'forward', { 'target.start.started': 'hands' });
    const { faults } = await runWalk(bench, { ...tempted, gateOpenedAt: 'target.start.started' });
    expect(faults).toContainEqual(expect.stringMatching(/^two copies ran for/));
    expect(faults).toContainEqual(expect.stringMatching(/docker start .* succeeds/));
  });
});
