import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CHUNK_BYTES, type ChunkRange } from '../../../../src/agent/lazy/chunks.ts';
import { Copier } from '../../../../src/agent/lazy/copier.ts';
import { FileTable } from '../../../../src/agent/lazy/file-table.ts';
import { SourceLink } from '../../../../src/agent/lazy/source-link.ts';

const SIZE = 64 * 2 ** 20;
const KIB = 1024;

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A copier of one file, whose requests are answered when the test says so. */
function copying(fresh = 0) {
  const table = FileTable.ofSize(1, 1024, { major: 8, minor: 1 });
  table.set(0, { inode: 1, size: SIZE, isSparse: false, start: 0 });
  const asked: { bytes: number; answer: () => void }[] = [];
  const waits = { waiting: 0, waitedAt: Number.NEGATIVE_INFINITY };
  const unsettled = { unsettledBytes: 0, end: Promise.withResolvers<void>() };
  const copier = new Copier({
    ...{ table, waits, order: { files: Uint32Array.of(0), fresh }, link: new SourceLink(() => new Promise(() => {})) },
    settler: {
      get unsettledBytes() {
        return unsettled.unsettledBytes;
      },
      get nextEnd() {
        return unsettled.end.promise;
      },
    },
    fetcher: {
      nextRun: (_, first, most): ChunkRange | null => {
        const end = Math.min(first + most, SIZE / CHUNK_BYTES);
        return first < end ? { first, end } : null;
      },
      fetch: (_, { first, end }) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        asked.push({ bytes: (end - first) * CHUNK_BYTES, answer: resolve });
        return promise;
      },
    },
    onBroken: (_, error) => {
      throw error;
    },
  });
  /** All that is asked for by now is answered; what is asked for then, in KiB. */
  const next = async (): Promise<number[]> => {
    for (const { answer } of asked.splice(0)) answer();
    await vi.advanceTimersByTimeAsync(1);
    return asked.map(({ bytes }) => bytes / KIB);
  };
  return { copier, waits, unsettled, next };
}

test('the copy begins gently, as the container starts, and takes all there is when nobody waits', async () => {
  const { copier, next } = copying();
  void copier.run();
  expect(await next()).toEqual([128, 128]);
  vi.advanceTimersByTime(2000);
  expect(await next()).toEqual([1024, 1024, 1024, 1024]);
});

test('it rests for as long as it is told to, and no longer, and is gentle then', async () => {
  const { copier, next } = copying();
  copier.rest(10_000);
  void copier.run();
  vi.advanceTimersByTime(9_000);
  expect(await next()).toEqual([]);
  copier.rest(500);
  vi.advanceTimersByTime(400);
  expect(await next()).toEqual([]);
  vi.advanceTimersByTime(100);
  expect(await next()).toEqual([128, 128]);
  vi.advanceTimersByTime(2_000);
  expect(await next()).toEqual([1024, 1024, 1024, 1024]);
});

test('what the container will read as it starts comes at full speed, until it waits', async () => {
  const { copier, waits, next } = copying(1);
  void copier.run();
  expect(await next()).toEqual([1024, 1024, 1024, 1024]);
  [waits.waiting, waits.waitedAt] = [1, performance.now()];
  expect(await next()).toEqual([128]);
});

test('while a process waits one small request is under way, and for a moment afterwards few', async () => {
  const { copier, waits, next } = copying();
  void copier.run();
  vi.advanceTimersByTime(2000);
  await next();
  [waits.waiting, waits.waitedAt] = [1, performance.now()];
  expect(await next()).toEqual([128]);
  waits.waiting = 0;
  expect(await next()).toEqual([128, 128]);
  vi.advanceTimersByTime(250);
  expect(await next()).toEqual([1024, 1024, 1024, 1024]);
});

test('who reads from front to back is brought what comes next in large pieces', async () => {
  const { copier, waits, next } = copying();
  void copier.run();
  vi.advanceTimersByTime(2000);
  await next();
  [waits.waiting, waits.waitedAt] = [1, Number.NEGATIVE_INFINITY];
  expect(await next()).toEqual([1024]);
});

test('no more is brought than can soon be made durable', async () => {
  const { copier, unsettled, next } = copying();
  void copier.run();
  await next();
  unsettled.unsettledBytes = 128 * 2 ** 20;
  expect(await next()).toEqual([]);
  unsettled.unsettledBytes = 0;
  unsettled.end.resolve();
  expect(await next()).toEqual([128, 128]);
});
