import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import type { Migration } from '../../../src/api/migration.ts';
import { briefProgress, fraction, watchProgress } from '../../../src/cli/progress.ts';
import { printable } from '../../../src/cli/table.ts';
import { exampleHydrating, exampleMigration, exampleStaging, exampleVolume } from './examples.ts';

const MIB = 1024 * 1024;

function shown(
  isTTY: boolean,
  show: (stream: NodeJS.WritableStream & { isTTY: boolean; columns: number }) => void,
  columns = 100,
): string {
  const stream = Object.assign(new PassThrough(), { isTTY, columns });
  show(stream);
  return String(stream.read() ?? '');
}

test('elsewhere than on a terminal there is a line for each phase and each tenth, and no more', () => {
  const text = shown(false, (stream) => {
    const progress = watchProgress(stream, () => 1_000_000);
    for (let local = 0; local <= 100; local += 1) progress.update(exampleStaging(local * MIB));
    progress.update(exampleMigration());
    progress.end();
  });
  const lines = text.trimEnd().split('\n');
  expect(lines).toHaveLength(12);
  expect(lines[5]).toBe(
    'staging: 50%  104/208 files  50.0 MiB/100.0 MiB  10.0 MiB/s  ETA 5 s  copying volume mysqldata',
  );
  expect(lines[11]).toBe('copied: 100%  208/208 files  155.0 MiB/155.0 MiB');
  expect(printable(text.replaceAll('\n', ''))).toBe(text.replaceAll('\n', ''));
});

test('while data follows, its line says what waited for it, over all volumes, and what keeps it', () => {
  const line = (changes: Partial<Migration>) =>
    shown(false, (stream) => watchProgress(stream).update(exampleHydrating({ activity: '', ...changes })));
  const hydrating = 'hydrating: 50%  104/208 files  50.0 MiB/100.0 MiB  10.0 MiB/s  ETA 5 s';
  const other = { ...exampleVolume, waits: 3, waiting: 0, p99Ms: 2_500 };
  expect(line({ hydration: [exampleVolume, other] })).toBe(`${hydrating}  60 waits, p99 2.50 s  2 waiting\n`);
  expect(line({ hydration: [{ ...exampleVolume, waits: 0, waiting: 0 }] })).toBe(`${hydrating}\n`);
  const away = { ...exampleVolume, waits: 1, denied: 4, sourceAway: 'no answer', trouble: ['disk full'] };
  const words = 'paused  SOURCE AWAY  1 wait, p99 41 ms  2 waiting  4 failed  TROUBLE';
  expect(line({ hydration: [away], paused: true })).toBe(`${hydrating}  ${words}\n`);
});

test('a slow copy has a line every few seconds, as long as anything moves', () => {
  let now = 1_000_000;
  const text = shown(false, (stream) => {
    const progress = watchProgress(stream, () => now);
    for (const local of [1, 2, 2, 2]) {
      progress.update(exampleStaging(local * MIB));
      now += 5_000;
    }
  });
  expect(text.trimEnd().split('\n')).toHaveLength(2);
});

test('on a terminal a bar stays on one line that is never wider than the terminal', () => {
  const activity = 'x'.repeat(200);
  const text = shown(true, (stream) => {
    const progress = watchProgress(stream);
    progress.update(exampleStaging(50 * MIB));
    progress.update(exampleStaging(75 * MIB, { activity }));
    progress.end();
  });
  const frames = text.trimEnd().split('\r\x1b[K').slice(1);
  expect(frames[0]).toMatch(
    /^staging {3}\[#{10}-{10}\] 50% {2}104\/208 files {2}50\.0 MiB\/100\.0 MiB {2}10\.0 MiB\/s {2}ETA 5 s/,
  );
  for (const frame of frames) expect(frame.length).toBeLessThan(100);
  expect(text.endsWith('\n')).toBe(true);
});

test('without --watch a terminal sees the phases, anything else nothing', () => {
  const show = (isTTY: boolean) =>
    shown(isTTY, (stream) => {
      const progress = briefProgress(stream);
      progress.update(exampleStaging(1));
      progress.update(exampleStaging(2));
      progress.update(exampleMigration());
      progress.end();
    });
  expect(show(true)).toBe('staging: copying volume mysqldata\ncopied\n');
  expect(show(false)).toBe('');
});

test.each<[string, Partial<Migration>, number]>([
  ['of the bytes', { bytes: { total: 4, local: 1, verified: 1 } }, 0.25],
  [
    'of the files where there are no bytes',
    { bytes: { total: 0, local: 0, verified: 0 }, files: { total: 2, local: 1, verified: 1 } },
    0.5,
  ],
  [
    'nothing where nothing is known yet',
    { bytes: { total: 0, local: 0, verified: 0 }, files: { total: 0, local: 0, verified: 0 } },
    0,
  ],
  ['never more than all', { bytes: { total: 1, local: 3, verified: 3 } }, 1],
])('the share done is %s', (_name, changes, share) => {
  expect(fraction(exampleMigration(changes))).toBe(share);
});

test('a terminal that does not know its width counts as 80 columns wide', () => {
  const text = shown(
    true,
    (stream) => watchProgress(stream).update(exampleStaging(50 * MIB, { activity: 'x'.repeat(200) })),
    0,
  );
  expect(text.replace('\r\x1b[K', '')).toHaveLength(79);
});
