import { PassThrough } from 'node:stream';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createCopyStep } from '../../../../src/agent/migrations/copy-step.ts';
import type { MigrationRecord } from '../../../../src/agent/migrations/record.ts';
import type { SourcePeer, StepContext } from '../../../../src/agent/migrations/step-context.ts';
import type { ReceiveRound } from '../../../../src/agent/migrations/volume-rounds.ts';
import type { RoundConnection } from '../../../../src/agent/volume/index.ts';
import type { StepProgress } from '../../../../src/api/agent-steps.ts';
import { CargoError } from '../../../../src/api/cargo-error.ts';
import type { DataMount } from '../../../../src/api/container-definition.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const log = pino({ level: 'silent' });
const round = { round: 2, final: false, bwlimit: null, wholeMs: 0, freshBytes: 0 };

function mount(index: number, name: string, isFile = false): DataMount {
  return {
    ...{ index, kind: isFile ? 'bind' : 'volume', name, anonymous: false, path: `/source/${name}`, isFile },
    ...{ destinations: [], readOnly: false, labels: {}, driverOpts: {}, files: 10, bytes: 1_000, fingerprint: null },
    strategy: 'precopy',
  };
}

function staged(mounts: DataMount[]): MigrationRecord {
  return {
    ...{ id: 'm1', epoch: 1, peer: null, source: null, outcomes: {} },
    definition: {
      ...{ id: 'c', name: 'c', running: true, inspect: {}, networks: [], mounts, attached: [] },
      image: {
        id: 'i',
        reference: 'i',
        referenceIsCurrent: true,
        layers: [],
        bytes: 1,
        architecture: 'a',
        os: 'linux',
      },
    },
    target: {
      ...{ permit: 'unused', containerId: 'c', restartPolicy: null, createdVolumes: [], createdNetworks: [] },
      ...{ createdPaths: [], adoptedPaths: [], loadedImages: [], usedBases: [], gate: [], held: false, keptAs: null },
      lazy: [],
      whole: null,
      mountPaths: mounts.map(({ index, name }) => ({ index, path: `/target/${name}` })),
    },
  };
}

async function contextFor(record: MigrationRecord, openRound: SourcePeer['openRound']) {
  const directory = await temporaryDirectory();
  const reports: StepProgress[] = [];
  const stop = new AbortController();
  const source: SourcePeer = {
    openRound,
    openVerification: () => Promise.reject(new Error('no verification in this test')),
    fetchImage: () => Promise.reject(new Error('no image in this test')),
  };
  const context: StepContext = {
    ...{ migrationId: 'm1', directory: directory.path, log, signal: stop.signal },
    others: () => [],
    record: () => record,
    update: () => Promise.reject(new Error('copying changes no record')),
    report: (progress) => reports.push(progress),
    source: () => source,
  };
  return { context, reports, stop, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

const amount = { files: 1, deleted: 2, bytes: 3, totalFiles: 4, totalBytes: 500 };
/** A connection that the source has ended. */
function ended(): RoundConnection {
  return { socket: new PassThrough().end(), keys: null };
}
const connected = async (): Promise<RoundConnection> => ended();
const away = new CargoError('PEER_UNREACHABLE', 'gone');

test('every mount is copied to where it is at the target, and the amounts add up', async () => {
  const mounts = [mount(0, 'db'), mount(3, 'conf', true)];
  const asked: unknown[] = [];
  await using given = await contextFor(staged(mounts), async (request) => {
    asked.push(request);
    return ended();
  });
  const received: unknown[] = [];
  const receive: ReceiveRound = async ({ root, stateDir, round, onProgress }) => {
    received.push({ root, stateDir, round });
    onProgress?.({ filesDone: 1, filesTotal: 4, bytesDone: 100, bytesTotal: 500 });
    return amount;
  };
  const total = await createCopyStep(receive)(given.context, {
    round: 2,
    final: true,
    bwlimit: 1_000,
    wholeMs: 0,
    freshBytes: 0,
  });
  expect(total).toMatchObject({ files: 2, deleted: 4, bytes: 6, totalFiles: 8, totalBytes: 1_000 });
  expect(total.drainMs, 'progress says that the source knows what differs').toBeGreaterThan(0);
  expect(total.applyMs).toBeGreaterThan(0);
  expect(asked).toEqual([0, 3].map((mountIndex) => ({ mountIndex, round: 2, final: true, bwlimit: 1_000 })));
  const { directory } = given.context;
  expect(received).toEqual([
    { root: { path: '/target/db', isFile: false }, stateDir: `${directory}/mount-0`, round: 2 },
    { root: { path: '/target/conf', isFile: true }, stateDir: `${directory}/mount-3`, round: 2 },
  ]);
  expect(given.reports).toEqual([
    { activity: 'copying volume db', filesDone: 1, filesTotal: 14, bytesDone: 100, bytesTotal: 1_500 },
    { activity: 'copying directory conf', filesDone: 5, filesTotal: 8, bytesDone: 600, bytesTotal: 1_000 },
  ]);
});

test('a source that is away for a moment is waited for', async () => {
  let attempts = 0;
  await using given = await contextFor(staged([mount(0, 'db')]), async () => {
    attempts += 1;
    if (attempts < 3) throw away;
    return ended();
  });
  expect(await createCopyStep(async () => amount)(given.context, round)).toMatchObject(amount);
  expect(attempts).toBe(3);
});

test('what is waited for is said while nothing arrives, with what had arrived', async () => {
  let attempts = 0;
  await using given = await contextFor(staged([mount(0, 'db')]), connected);
  const receive: ReceiveRound = async ({ onProgress }) => {
    attempts += 1;
    onProgress?.({ filesDone: attempts, filesTotal: 4, bytesDone: 100 * attempts, bytesTotal: 500 });
    if (attempts === 1) throw away;
    return amount;
  };
  await createCopyStep(receive)(given.context, round);
  expect(given.reports.map(({ activity, bytesDone }) => [activity, bytesDone])).toEqual([
    ['copying volume db', 100],
    ['waiting: gone', 100],
    ['copying volume db', 200],
  ]);
});

test('a failure that waiting does not mend ends the step at once, and the connection with it', async () => {
  const sockets: RoundConnection['socket'][] = [];
  await using given = await contextFor(staged([mount(0, 'db')]), async () => {
    const socket = new PassThrough();
    sockets.push(socket);
    return { socket, keys: null };
  });
  const receive = () => Promise.reject(new CargoError('DISK_FULL', 'no space'));
  await expect(createCopyStep(receive)(given.context, round)).rejects.toMatchObject({ code: 'DISK_FULL' });
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true]);
});

test('cancelling ends the wait for a source that is away', async () => {
  const asked = Promise.withResolvers<void>();
  await using given = await contextFor(staged([mount(0, 'db')]), () => {
    asked.resolve();
    return Promise.reject(away);
  });
  const copying = createCopyStep(async () => amount)(given.context, round);
  await asked.promise;
  given.stop.abort(new CargoError('CANCELLED', 'enough'));
  await expect(copying).rejects.toThrow();
});

test('a migration that was not staged here is not copied', async () => {
  await using given = await contextFor({ ...staged([]), target: null }, connected);
  const copying = createCopyStep(async () => amount)(given.context, round);
  await expect(copying).rejects.toMatchObject({ code: 'WRONG_PHASE' });
});
