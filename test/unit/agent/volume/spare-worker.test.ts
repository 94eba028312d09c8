import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { takeWorker, warmWorkers } from '../../../../src/agent/volume/spare-worker.ts';

const taken: Worker[] = [];
/** Threads of this process: a worker has one, and starts none of its own. */
const threads = (): number => readdirSync('/proc/self/task').length;

function take(isLast: boolean): Worker {
  const worker = takeWorker({ isLast });
  taken.push(worker);
  return worker;
}

async function endAll(): Promise<void> {
  await Promise.all(taken.splice(0).map((worker) => worker.terminate()));
}

beforeEach(async () => {
  // Nothing waits from before.
  await warmWorkers(1);
  take(true);
  await endAll();
});

afterAll(endAll);

test('as many wait as there are jobs to come, with their code loaded, and none is started when they are taken', async () => {
  const before = threads();
  await warmWorkers(3);
  expect(threads()).toBe(before + 3);
  for (let job = 0; job < 3; job += 1) take(true);
  expect(threads()).toBe(before + 3);
  take(true);
  expect(threads(), 'a fourth is started when it is asked for').toBe(before + 4);
});

test('after a job that others follow the next worker is there, after the last job none', async () => {
  const before = threads();
  const first = take(false);
  await Promise.all([once(first, 'exit'), first.terminate()]);
  expect(threads()).toBe(before + 1);
  await warmWorkers(1);
  expect(threads()).toBe(before + 1);
  const last = take(true);
  await Promise.all([once(last, 'exit'), last.terminate()]);
  await delay(0);
  expect(threads()).toBe(before);
});
