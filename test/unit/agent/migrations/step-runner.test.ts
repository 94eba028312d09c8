import { appendFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { MigrationRecord } from '../../../../src/agent/migrations/record.ts';
import { RecordStore } from '../../../../src/agent/migrations/record-store.ts';
import type { StepHandlers } from '../../../../src/agent/migrations/step-context.ts';
import { StepRunner } from '../../../../src/agent/migrations/step-runner.ts';
import type { StepName } from '../../../../src/api/agent-steps.ts';
import { CargoError } from '../../../../src/api/cargo-error.ts';
import { quietHandlers } from '../quiet-handlers.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const log = pino({ level: 'silent' });
const never = new AbortController().signal;

async function runnerIn(root: string, handlers: Partial<StepHandlers>) {
  const records = await RecordStore.open(root, log);
  const sourcePeer = () => {
    throw new Error('no peer in this test');
  };
  const runner = new StepRunner({ records, handlers: { ...quietHandlers, ...handlers }, sourcePeer, log });
  return { runner, records };
}

const command = (step: StepName, epoch: number, input: unknown = {}) => ({ step, epoch, input });

async function finished(runner: StepRunner, key: string) {
  return runner.wait('m1', key, 5_000, never);
}

/** A handler that runs until its signal aborts, and tells when it began. */
function hanging() {
  const begun = Promise.withResolvers<void>();
  let runs = 0;
  const handler = async ({ signal }: { signal: AbortSignal }): Promise<never> => {
    runs += 1;
    begun.resolve();
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    throw signal.reason;
  };
  return { begun: begun.promise, handler, runs: () => runs };
}

test('a step that is sent again is done once and answers twice', async () => {
  await using root = await temporaryDirectory();
  let runs = 0;
  const { runner } = await runnerIn(root.path, {
    thaw: async () => {
      runs += 1;
      return { running: true };
    },
  });
  expect((await runner.start('m1', 'thaw', command('thaw', 1))).state).toBe('running');
  expect(await finished(runner, 'thaw')).toMatchObject({ state: 'done', output: { running: true } });
  expect(await runner.start('m1', 'thaw', command('thaw', 1))).toMatchObject({ state: 'done' });
  expect(await runner.start('m1', 'thaw', command('thaw', 9))).toMatchObject({ state: 'done' });
  expect(runs).toBe(1);
});

test('outcomes answer after a restart of the agent', async () => {
  await using root = await temporaryDirectory();
  const before = await runnerIn(root.path, {});
  await before.runner.start('m1', 'finish', command('finish', 1));
  await finished(before.runner, 'finish');
  const after = await runnerIn(root.path, {
    finish: () => Promise.reject(new Error('must not run again')),
  });
  expect(await after.runner.start('m1', 'finish', command('finish', 1))).toMatchObject({ state: 'done' });
});

test('a lower epoch is refused, after a restart too', async () => {
  await using root = await temporaryDirectory();
  const { runner } = await runnerIn(root.path, {});
  await runner.start('m1', 'finish', command('finish', 3));
  await finished(runner, 'finish');
  await expect(runner.start('m1', 'thaw', command('thaw', 2))).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  const after = await runnerIn(root.path, {});
  await expect(after.runner.start('m1', 'finish', command('finish', 2))).rejects.toMatchObject({ code: 'STALE_EPOCH' });
});

test('a failed step answers its failure under the same epoch and runs again under a higher one', async () => {
  await using root = await temporaryDirectory();
  let runs = 0;
  const { runner } = await runnerIn(root.path, {
    finish: async () => {
      runs += 1;
      if (runs === 1) throw new CargoError('DISK_FULL', 'no space', { details: { missing: 5 } });
      return {};
    },
  });
  await runner.start('m1', 'finish', command('finish', 1));
  const failure = { state: 'failed', error: { code: 'DISK_FULL', message: 'no space', details: { missing: 5 } } };
  expect(await finished(runner, 'finish')).toMatchObject(failure);
  expect(await runner.start('m1', 'finish', command('finish', 1))).toMatchObject(failure);
  expect(runs).toBe(1);
  expect(await runner.start('m1', 'finish', command('finish', 2))).toMatchObject({ state: 'running' });
  expect(await finished(runner, 'finish')).toMatchObject({ state: 'done' });
});

test('a higher epoch lets the running step go on and gets its answer', async () => {
  await using root = await temporaryDirectory();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  let runs = 0;
  const { runner, records } = await runnerIn(root.path, {
    thaw: async () => {
      runs += 1;
      await gate;
      return { running: true };
    },
  });
  await runner.start('m1', 'thaw', command('thaw', 1));
  expect(await runner.start('m1', 'thaw', command('thaw', 2))).toMatchObject({ state: 'running' });
  expect(records.get('m1').epoch).toBe(2);
  open();
  expect(await finished(runner, 'thaw')).toMatchObject({ state: 'done' });
  expect(runs).toBe(1);
});

test('while one step runs another is refused, but not for another migration', async () => {
  await using root = await temporaryDirectory();
  const stuck = hanging();
  const { runner } = await runnerIn(root.path, { release: stuck.handler });
  await runner.start('m1', 'release', command('release', 1, { cleanup: false }));
  await stuck.begun;
  await expect(runner.start('m1', 'finish', command('finish', 1))).rejects.toMatchObject({ code: 'WRONG_PHASE' });
  expect((await runner.start('m2', 'finish', command('finish', 1))).state).toBe('running');
  await runner.close(1_000);
});

test('abandon ends the running step and waits for its end before it begins', async () => {
  await using root = await temporaryDirectory();
  const order: string[] = [];
  const begun = Promise.withResolvers<void>();
  const { runner } = await runnerIn(root.path, {
    finish: async ({ signal }) => {
      begun.resolve();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      await new Promise(setImmediate);
      order.push('finish ended');
      throw signal.reason;
    },
    abandon: async () => {
      order.push('abandon began');
      return { removed: [], keptAs: null, bases: [] };
    },
  });
  await runner.start('m1', 'finish', command('finish', 1));
  await begun.promise;
  await runner.start('m1', 'abandon', command('abandon', 1));
  expect(await finished(runner, 'abandon')).toMatchObject({ state: 'done' });
  expect(order).toEqual(['finish ended', 'abandon began']);
  expect(runner.report('m1', 'finish')).toMatchObject({ state: 'failed', error: { code: 'CANCELLED' } });
});

test('a start is never interrupted: abandon waits for what comes of it', async () => {
  await using root = await temporaryDirectory();
  const order: string[] = [];
  const begun = Promise.withResolvers<void>();
  const { promise: healthy, resolve: becomeHealthy } = Promise.withResolvers<void>();
  const { runner, records } = await runnerIn(root.path, {
    start: async ({ signal }) => {
      begun.resolve();
      await healthy;
      order.push(signal.aborted ? 'start was interrupted' : 'start ended');
      return { running: true, health: 'healthy', startMs: 1, upMs: 1 };
    },
    abandon: async () => {
      order.push('abandon began');
      return { removed: [], keptAs: null, bases: [] };
    },
  });
  await records.create('m1');
  await runner.start('m1', 'start', command('start', 1, { healthTimeoutMs: 1_000 }));
  await begun.promise;
  expect(await runner.start('m1', 'abandon', command('abandon', 1))).toMatchObject({ state: 'running' });
  becomeHealthy();
  expect(await finished(runner, 'abandon')).toMatchObject({ state: 'done' });
  expect(order).toEqual(['start ended', 'abandon began']);
});

test('a step that was interrupted by the end of the agent runs again with the same command', async () => {
  await using root = await temporaryDirectory();
  const stuck = hanging();
  const before = await runnerIn(root.path, { finish: stuck.handler });
  await before.runner.start('m1', 'finish', command('finish', 1));
  await stuck.begun;
  await before.runner.close(5_000);
  await expect(before.runner.start('m1', 'thaw', command('thaw', 1))).rejects.toThrow(/stopping/);
  const after = await runnerIn(root.path, {});
  expect(() => after.runner.report('m1', 'finish')).toThrow(/not known here/);
  expect(await after.runner.start('m1', 'finish', command('finish', 1))).toMatchObject({ state: 'running' });
  expect(await finished(after.runner, 'finish')).toMatchObject({ state: 'done' });
});

test('the wait for a running step ends with its progress when the time is up', async () => {
  await using root = await temporaryDirectory();
  const stuck = hanging();
  const progress = { activity: 'copying volume db', filesDone: 1, filesTotal: 2, bytesDone: 3, bytesTotal: 4 };
  const { runner } = await runnerIn(root.path, {
    finish: (context) => {
      context.report(progress);
      return stuck.handler(context);
    },
  });
  await runner.start('m1', 'finish', command('finish', 1));
  await stuck.begun;
  expect(await runner.wait('m1', 'finish', 10, never)).toMatchObject({ state: 'running', progress });
  await runner.close(1_000);
});

test('steps that go on with what another recorded are refused where nothing was recorded', async () => {
  await using root = await temporaryDirectory();
  const { runner } = await runnerIn(root.path, {});
  const start = runner.start('m1', 'start', command('start', 1, { healthTimeoutMs: 1 }));
  await expect(start).rejects.toMatchObject({ code: 'MIGRATION_NOT_FOUND' });
  expect(await readdir(root.path)).toEqual(['.reserve']);
});

test('a command whose key or input does not fit its step is refused', async () => {
  await using root = await temporaryDirectory();
  const { runner } = await runnerIn(root.path, {});
  for (const [key, sent] of [
    ['thaw', command('finish', 1)],
    ['finish/../x', command('finish', 1)],
    ['start', command('start', 1, { healthTimeoutMs: 'soon' })],
  ] as const) {
    await expect(runner.start('m1', key, sent)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  }
});

const frozen = {
  ...{ containerId: 'c', wasRunning: true, originalName: 'n', movedAs: 'n-moved' },
  ...{ restartPolicy: {}, movedAside: [], startedAt: '', stopping: false },
};
const target: NonNullable<MigrationRecord['target']> = {
  ...{ permit: 'unused', containerId: null, restartPolicy: null, createdVolumes: [], createdNetworks: [] },
  ...{ createdPaths: [], adoptedPaths: [], loadedImages: [], usedBases: [], mountPaths: [] },
  ...{ gate: [], held: false, keptAs: null, bases: [], lazy: [], whole: null },
};

test.each<[string, Partial<MigrationRecord>]>([
  ['its source is frozen', { source: { serving: true, frozen, released: false } }],
  ['its target may still start', { target }],
  ['its container is held since a boot', { target: { ...target, permit: 'used', held: true } }],
])('a migration is not forgotten while %s', async (_why, part) => {
  await using root = await temporaryDirectory();
  const { runner, records } = await runnerIn(root.path, {});
  await records.create('m1');
  await records.update('m1', (record) => ({ ...record, ...part }));
  await expect(runner.forget('m1')).rejects.toMatchObject({ code: 'WRONG_PHASE' });
});

test.each<[string, Partial<MigrationRecord>]>([
  ['its source is released', { source: { serving: false, frozen, released: true } }],
  ['its target has started', { target: { ...target, permit: 'used' } }],
  ['its target was abandoned', { target: { ...target, permit: 'refused' } }],
])('a migration is forgotten, directory and all, once %s', async (_why, part) => {
  await using root = await temporaryDirectory();
  const { runner, records } = await runnerIn(root.path, {});
  await records.create('m1');
  await records.update('m1', (record) => ({ ...record, ...part }));
  await runner.forget('m1');
  await runner.forget('m1');
  expect(await readdir(root.path)).toEqual(['.over', '.reserve']);
});

test('the agent’s own work is done beside a step that leads forward, and not while one leads back', async () => {
  await using root = await temporaryDirectory();
  const [forward, back] = [hanging(), hanging()];
  const { runner } = await runnerIn(root.path, { finish: forward.handler, abandon: back.handler });
  await runner.start('m1', 'finish', command('finish', 1));
  await forward.begun;
  const done: string[] = [];
  await runner.beside('m1', async ({ migrationId }) => void done.push(migrationId));
  expect(done).toEqual(['m1']);
  await runner.start('m1', 'abandon', command('abandon', 1));
  await back.begun;
  const beside = runner.beside('m1', async () => void done.push('while it is led back'));
  await expect(beside).rejects.toMatchObject({ code: 'WRONG_PHASE' });
  expect(done).toEqual(['m1']);
  await runner.close(1_000);
});

test('a migration is not forgotten while a step runs', async () => {
  await using root = await temporaryDirectory();
  const stuck = hanging();
  const { runner } = await runnerIn(root.path, { finish: stuck.handler });
  await runner.start('m1', 'finish', command('finish', 1));
  await stuck.begun;
  await expect(runner.forget('m1')).rejects.toMatchObject({ code: 'WRONG_PHASE' });
  await runner.close(1_000);
});

/** Commands that were held up on their way. */
const held: [StepName, unknown][] = [
  ['freeze', { movedTo: 'h2', force: false }],
  ['copy', { round: 1, final: false, bwlimit: null }],
  ['start', { healthTimeoutMs: 1 }],
  ['thaw', {}],
  ['refuse', {}],
];

test('a migration that is over is never begun anew, also after the agent was restarted', async () => {
  await using root = await temporaryDirectory();
  const { runner, records } = await runnerIn(root.path, {});
  await runner.start('m1', 'abandon', command('abandon', 3));
  await finished(runner, 'abandon');
  await runner.forget('m1');
  const after = await runnerIn(root.path, {});
  for (const { runner: late, records: kept } of [{ runner, records }, after]) {
    for (const [step, input] of held) {
      await expect(late.start('m1', step, command(step, 9, input)), step).rejects.toMatchObject({
        code: 'MIGRATION_OVER',
      });
    }
    expect(await late.start('m1', 'abandon', command('abandon', 9))).toMatchObject({ state: 'done' });
    expect(kept.find('m1')).toBeNull();
    await expect(kept.create('m1')).rejects.toMatchObject({ code: 'MIGRATION_OVER' });
  }
});

test('control: a migration that nobody forgot here is begun by the same command', async () => {
  await using root = await temporaryDirectory();
  const { runner } = await runnerIn(root.path, {});
  expect(await runner.start('m1', 'thaw', command('thaw', 9))).toMatchObject({ state: 'running' });
  await finished(runner, 'thaw');
});

test('an unfinished last line of the migrations that are over costs that line alone', async () => {
  await using root = await temporaryDirectory();
  const { runner } = await runnerIn(root.path, {});
  for (const id of ['m1', 'm2']) {
    await runner.start(id, 'abandon', command('abandon', 1));
    await runner.wait(id, 'abandon', 5_000, never);
    await runner.forget(id);
    if (id === 'm1') await appendFile(join(root.path, '.over'), '{"id":"m3","outc');
  }
  const { records } = await runnerIn(root.path, {});
  expect(['m1', 'm2', 'm3'].map((id) => records.ended(id) !== null)).toEqual([true, true, false]);
});

test('a freeze that arrives when the source was thawed is refused', async () => {
  await using root = await temporaryDirectory();
  const { runner } = await runnerIn(root.path, {});
  await runner.start('m1', 'thaw', command('thaw', 1));
  await finished(runner, 'thaw');
  const freeze = command('freeze', 1, { movedTo: 'h2', force: false });
  await expect(runner.start('m1', 'freeze', freeze)).rejects.toMatchObject({ code: 'MIGRATION_OVER' });
});

test('a copy that arrives when the target has refused is refused', async () => {
  await using root = await temporaryDirectory();
  const { runner } = await runnerIn(root.path, {});
  await runner.start('m1', 'refuse', command('refuse', 1));
  await finished(runner, 'refuse');
  const copy = command('copy', 1, { round: 1, final: false, bwlimit: null });
  await expect(runner.start('m1', 'copy-1', copy)).rejects.toMatchObject({ code: 'MIGRATION_OVER' });
});
