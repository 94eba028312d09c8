import { expect, test } from 'vitest';
import { lazyCells } from '../../../faults/lazy-cells.ts';
import { elsewhere, everyPoint, faultNames, matrix, matrixSteps, steps } from '../../../faults/matrix.ts';
import { faultPoints } from '../../../src/faults/points.ts';

test('every fault point belongs to a step of the matrix, or stands on the list of those that do not', () => {
  const known = new Set([
    ...matrixSteps.flatMap((step) => [...steps[step].points]),
    ...elsewhere,
    ...lazyCells().map(({ point }) => point),
  ]);
  expect(faultPoints.filter((point) => !known.has(point))).toEqual([]);
  expect([...known].filter((point) => !faultPoints.some((other) => other === point))).toEqual([]);
});

test('the matrix has one cell for each step and fault, and each cell a name of its own', () => {
  expect(matrix()).toHaveLength(matrixSteps.length * faultNames.length);
  for (const cells of [matrix(), everyPoint()]) {
    expect(new Set(cells.map(({ name }) => name)).size).toBe(cells.length);
  }
});

test('a kill strikes the process that is held, where the step has points in it', () => {
  for (const { name, step, fault, point } of matrix()) {
    const [victim = ''] = fault.split('-');
    if (!fault.endsWith('-kill') || victim === 'both') continue;
    const has = steps[step].points.some((candidate) => candidate.startsWith(`${victim}.`));
    if (has) expect(point.split('.')[0], name).toBe(victim);
  }
});
