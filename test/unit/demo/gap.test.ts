import { expect, test } from 'vitest';
import { longestGapMs } from '../../../demo/gap.ts';

const rows = [0, 10, 20, 1020, 1030, 1040, 5040, 5050].map((at) => ({ at }));

test('the longest gap that touches the span is the downtime', () => {
  expect(longestGapMs(rows, { from: 15, to: 1035 })).toBe(1000);
});

test('a gap that begins before the span, or ends after it, counts in full', () => {
  expect(longestGapMs(rows, { from: 500, to: 510 })).toBe(1000);
  expect(longestGapMs(rows, { from: 1035, to: 2000 })).toBe(4000);
});

test('a longer gap elsewhere does not count', () => {
  expect(longestGapMs(rows, { from: 5, to: 12 })).toBe(10);
});

test('without rows there is nothing to measure', () => {
  expect(longestGapMs([], { from: 0, to: 1 })).toBe(0);
});
