import fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mutate, mutation } from './mutation.ts';
import { type ReceiveJob, RoundThreads, type SendJob } from './round-threads.ts';
import { removeAll } from './rounds.ts';
import { snapshot } from './snapshot.ts';

let directory = '';
let threads: RoundThreads;

beforeAll(() => {
  directory = fs.mkdtempSync('/var/tmp/cargo-model-');
  threads = new RoundThreads();
});

afterAll(async () => {
  await threads[Symbol.asyncDispose]();
  removeAll(directory);
});

/** What happens between two rounds, and to the second one. */
const step = fc.record({
  source: fc.array(mutation, { maxLength: 10 }),
  /** Somebody works in the target; its agent then doesn't know its state any more. */
  target: fc.option(fc.array(mutation, { maxLength: 4 }), { nil: null, freq: 6 }),
  forgets: fc.constantFrom('nothing', 'nothing', 'nothing', 'nothing', 'source', 'target'),
  cutAfter: fc.option(fc.integer({ min: 0, max: 8 }), { nil: null, freq: 4 }),
});

test('whatever happens between rounds, and wherever they are cut, an ended round leaves equal trees', async () => {
  const [a, b] = [join(directory, 'a'), join(directory, 'b')];
  const [stateA, stateB] = [join(directory, 'state-a'), join(directory, 'state-b')];
  const clean = (path: string): void => (fs.existsSync(path) ? removeAll(path) : undefined);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
      for (const path of [a, b, stateA, stateB]) clean(path);
      for (const path of [a, b]) fs.mkdirSync(path);
      for (const [round, { source, target, forgets, cutAfter }] of steps.entries()) {
        mutate(a, source);
        if (target !== null) mutate(b, target);
        if (forgets === 'source') clean(stateA);
        if (forgets === 'target' || target !== null) clean(stateB);
        const send: SendJob = {
          kind: 'send',
          root: { path: a, isFile: false },
          stateDir: stateA,
          round,
          final: true,
        };
        const receive: ReceiveJob = { kind: 'receive', root: { path: b, isFile: false }, stateDir: stateB, round };
        const stats = await threads.run(send, receive, cutAfter ?? Number.POSITIVE_INFINITY);
        if (stats === null) continue;
        expect(snapshot(b)).toEqual(snapshot(a));
        expect(fs.readdirSync(directory).filter((name) => name.startsWith('.cargo'))).toEqual([]);
      }
    }),
    {
      numRuns: Number(process.env['CARGO_MODEL_RUNS'] ?? 200),
      verbose: 1,
      timeout: 8000,
      endOnFailure: process.env['CARGO_END'] === '1',
    },
  );
});
