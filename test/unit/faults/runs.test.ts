import { expect, test } from 'vitest';
import { overlaps, runsOf, type Sign } from '../../../faults/runs.ts';

const start = (host: 'h1' | 'h2', at: number, container: string = host): Sign => ({
  kind: 'start',
  host,
  container,
  at,
});
const end = (host: 'h1' | 'h2', at: number, container: string = host): Sign => ({ kind: 'end', host, container, at });
const found = (...signs: Sign[]): number => overlaps(runsOf(signs)).length;

test('a move, where one ends before the other starts, has no overlap', () => {
  expect(found(start('h1', 1), end('h1', 5), start('h2', 6))).toBe(0);
});

test('two that run at the same moment are found, also when both have ended since, in whatever order they were heard of', () => {
  expect(found(start('h1', 1), start('h2', 6))).toBe(1);
  expect(found(end('h2', 8), start('h2', 6), end('h1', 7), start('h1', 1))).toBe(1);
});

test('a run whose end was not heard lasts until the next start of the same container', () => {
  expect(found(start('h1', 1), start('h2', 5), end('h2', 7), start('h1', 9), end('h1', 10))).toBe(1);
});

test('a power cut ends all that ran on the host, and nothing on the other', () => {
  const cut: Sign = { kind: 'power-cut', host: 'h1', at: 5 };
  expect(found(start('h1', 1), cut, start('h2', 6))).toBe(0);
  expect(found(start('h2', 1), cut, start('h1', 6))).toBe(1);
});
