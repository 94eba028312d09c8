import { expect, test } from 'vitest';
import type { Base } from '../../../../src/api/container-definition.ts';
import type { Round } from '../../../../src/api/migration.ts';
import { freshBytes, isTimeToSwitch, MAX_ROUNDS, precopyEnd } from '../../../../src/server/migrations/rounds.ts';

const MiB = 1024 * 1024;

function rounds(...bytes: number[]): Round[] {
  return bytes.map((count, index) => ({
    round: index + 1,
    final: false,
    files: 1,
    deleted: 0,
    bytes: count,
    durationMs: 1,
  }));
}

test('the first round is never the last one before the switch', () => {
  expect(isTimeToSwitch([])).toBe(false);
  expect(isTimeToSwitch(rounds(0))).toBe(false);
});

test('rounds go on while they shrink and more than 1 MiB is left', () => {
  expect(isTimeToSwitch(rounds(100 * MiB, 50 * MiB))).toBe(false);
  expect(isTimeToSwitch(rounds(100 * MiB, 50 * MiB, 2 * MiB))).toBe(false);
});

test('it is time to switch when at most 1 MiB travelled', () => {
  expect(isTimeToSwitch(rounds(100 * MiB, MiB))).toBe(true);
});

test('it is time to switch when a round did not shrink', () => {
  expect(isTimeToSwitch(rounds(100 * MiB, 100 * MiB))).toBe(true);
});

test('it is time to switch after eight rounds, however much is left', () => {
  const shrinking = Array.from({ length: MAX_ROUNDS }, (_, index) => (100 - index) * MiB);
  expect(isTimeToSwitch(rounds(...shrinking.slice(0, -1)))).toBe(false);
  expect(isTimeToSwitch(rounds(...shrinking))).toBe(true);
});

test('what could follow is copied before the stop for as long as was asked for, and on the way back as long as it takes', () => {
  const startedAt = '2026-01-01T00:00:00.000Z';
  const began = Date.parse(startedAt);
  const base = { containerName: 'c', kind: 'volume', name: 'v', destinations: ['/v'], anonymous: false } as Base;
  expect(precopyEnd({ startedAt, precopySeconds: null, bases: [] })).toBe(began);
  expect(precopyEnd({ startedAt, precopySeconds: 60, bases: [] })).toBe(began + 60_000);
  expect(precopyEnd({ startedAt, precopySeconds: 60, bases: [base] })).toBe(began + 60_000);
  expect(precopyEnd({ startedAt, precopySeconds: null, bases: [base] })).toBeGreaterThan(began + 86_400_000);
});

test('what was changed last travels before the stop, but not for longer than two seconds of the limit, nor against the word of who moves it', () => {
  const asked = { precopySeconds: null, bwlimit: null, rounds: rounds(300 * MiB, MiB) };
  expect(freshBytes(asked, false)).toBe(256 * MiB);
  expect(freshBytes({ ...asked, rounds: [] }, false)).toBe(256 * MiB);
  expect(freshBytes({ ...asked, precopySeconds: 5 }, false)).toBe(256 * MiB);
  expect(freshBytes({ ...asked, bwlimit: 100_000 }, false)).toBe(200_000);
  for (const final of [false, true]) expect(freshBytes({ ...asked, precopySeconds: 0 }, final)).toBe(0);
});

test('in the final round its changes travel only where the round before was a short one', () => {
  const asked = { precopySeconds: null, bwlimit: null };
  const after = (bytes: number, durationMs: number): number =>
    freshBytes({ ...asked, rounds: rounds(300 * MiB, bytes).map((round) => ({ ...round, durationMs })) }, true);
  expect(after(16 * MiB, 2_000)).toBe(1024 * MiB);
  expect(after(16 * MiB + 1, 2_000)).toBe(0);
  expect(after(MiB, 2_001)).toBe(0);
  expect(freshBytes({ ...asked, rounds: [] }, true)).toBe(0);
});
