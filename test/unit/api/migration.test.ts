import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isMove, moves, type Phase, phases } from '../../../src/api/migration.ts';

const drawn: [Phase, Phase][] = [
  ['planned', 'staging'],
  ['staging', 'switching'],
  ['switching', 'copied'],
  ['switching', 'hydrating'],
  ['hydrating', 'copied'],
  ['hydrating', 'recovered'],
  ['copied', 'completed'],
  ['planned', 'failed'],
  ['staging', 'rolled-back'],
  ['switching', 'rolled-back'],
  ['switching', 'recovered'],
  ['copied', 'recovered'],
];

test('the drawing in docs/architecture.md shows every move of the table and no other', () => {
  const inTable = phases.flatMap((from) => moves[from].map((to) => `${from} ${to}`));
  expect(inTable.sort()).toEqual(drawn.map((pair) => pair.join(' ')).sort());
  const docs = readFileSync(new URL('../../../docs/architecture.md', import.meta.url), 'utf8');
  expect(docs).toContain('planned ──▶ staging ──▶ switching ──▶ copied ──▶ completed');
  for (const phase of phases) expect(docs).toContain(phase);
});

test('no move leads back to the source once the container runs at the target', () => {
  expect(isMove('copied', 'rolled-back')).toBe(false);
  expect(moves.copied).toEqual(['completed', 'recovered']);
});
