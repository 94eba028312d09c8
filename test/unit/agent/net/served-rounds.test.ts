import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { RecordStore } from '../../../../src/agent/migrations/record-store.ts';
import { ServedRounds } from '../../../../src/agent/net/served-rounds.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const log = pino({ level: 'silent' });
const connection = () => ({ socket: new PassThrough(), keys: null });
const stats = { files: 0, deleted: 0, bytes: 0, totalFiles: 0, totalBytes: 0 };
const of = { migrationId: 'm1', mountIndex: 0 };
const round = { ...of, kind: 'round' as const, round: 2, final: true, bwlimit: null };

test('what the last round left is served when that round is over, and when its target is not heard of for a second', async () => {
  await using directory = await temporaryDirectory();
  const records = await RecordStore.open(join(directory.path, 'migrations'), log);
  await records.create('m1');
  const sent = Promise.withResolvers<typeof stats>();
  const begun = Promise.withResolvers<void>();
  const send = (): Promise<typeof stats> => {
    begun.resolve();
    return sent.promise;
  };
  const rounds = new ServedRounds({ records, send, verify: () => Promise.reject(new Error('not asked for')), log });
  const served: string[] = [];
  vi.spyOn(rounds.ranges, 'serve').mockImplementation(async ({ round: name }) => {
    served.push(name);
  });
  const ranges = (name: string) => rounds.serveRanges({ ...of, kind: 'ranges', round: name }, connection(), () => {});

  const definition = { mounts: [{ index: 0, path: '/nowhere', isFile: false }] };
  await records.update('m1', (record) => ({
    ...record,
    definition: definition as unknown as typeof record.definition,
  }));
  const lastRound = rounds.serve({ ...round, contentLimit: null, wholeMs: 0, freshBytes: 0 }, connection(), () => {});
  await begun.promise;
  const early = ranges('early');
  await nextTurn();
  expect(served).toEqual([]);
  await early;
  expect(served, 'after a second').toEqual(['early']);

  const late = ranges('late');
  await nextTurn();
  expect(served).toEqual(['early']);
  sent.resolve(stats);
  await Promise.all([lastRound, late]);
  expect(served).toEqual(['early', 'late']);
  await ranges('later');
  expect(served).toEqual(['early', 'late', 'later']);
});
