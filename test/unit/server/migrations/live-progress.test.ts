import { expect, test } from 'vitest';
import type { Migration } from '../../../../src/api/migration.ts';
import { LiveProgress } from '../../../../src/server/migrations/live-progress.ts';

const recorded = {
  files: { total: 10, local: 0, verified: 0 },
  bytes: { total: 1000, local: 0, verified: 0 },
  rate: null,
  etaSeconds: null,
  activity: 'staging',
} as Migration;

function progress(bytesDone: number, filesDone = 0) {
  return { activity: 'copying volume db', filesDone, filesTotal: 10, bytesDone, bytesTotal: 1000 };
}

test('rate and time left come from the samples of the last seconds', () => {
  let nowMs = 0;
  const live = new LiveProgress(() => nowMs);
  live.record(progress(0));
  nowMs = 2000;
  live.record(progress(500, 4));
  const shown = live.overlay(recorded);
  expect(shown.rate).toBe(250);
  expect(shown.etaSeconds).toBe(2);
  expect(shown.files).toEqual({ total: 10, local: 4, verified: 4 });
  expect(shown.bytes.local).toBe(500);
});

test('what a later round still has to bring is missing from what is local', () => {
  const live = new LiveProgress(() => 0);
  live.record({ activity: 'copying', filesDone: 1, filesTotal: 3, bytesDone: 100, bytesTotal: 300 });
  const shown = live.overlay({ ...recorded, files: { total: 10, local: 10, verified: 10 } });
  expect(shown.files.local).toBe(8);
  expect(shown.bytes.local).toBe(800);
});

test('without a running step the record is shown as it is', () => {
  const live = new LiveProgress(() => 0);
  live.record(progress(10));
  live.clear();
  expect(live.overlay(recorded)).toBe(recorded);
});
