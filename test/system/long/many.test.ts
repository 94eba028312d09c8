import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';
import { tracesOfHydration } from '../migration/traces.ts';
import { Follower } from './follower.ts';

const hosts = ['h1', 'h2', 'h3'];
let lab: LabUnderTest;
beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('busybox', ...hosts);
});
afterEach(() => lab.sweep(hosts));
afterAll(() => lab.sweep(hosts));

const files = ['f1', 'f2', 'f3', 'f4'];

test('ten containers at once, five in each direction: two copy at a time, the others wait, and all arrive whole', async () => {
  const began = performance.now();
  const moves = Array.from({ length: 10 }, (_, index) => ({
    name: `many${index}`,
    ...(index % 2 === 0 ? { from: 'h1', to: 'h2' } : { from: 'h2', to: 'h1' }),
  }));
  const all = await Promise.all(moves.map(({ name, from }) => Follower.start(lab, { name, from, files })));
  await Promise.all(
    moves.map(async ({ name, to }) => {
      const ran = await lab.cargoctl(
        ...['migrate', name, '--to', to, '--strategy', 'lazy', '--bwlimit', '500K', '--detach'],
      );
      expect(ran, ran.stderr).toMatchObject({ status: 0 });
    }),
  );
  const phases = await Promise.all(all.map((one) => one.phase()));
  expect(phases, 'some wait for their turn').toContain('planned');
  const arrived = await Promise.allSettled(
    moves.map(async ({ to }, index) => {
      const one = all[index];
      if (one === undefined) throw new Error('each move has its container');
      await expect.poll(() => one.phase(), { timeout: 240_000 }).toBe('copied');
      expect(await one.isRunning(to), one.name).toBe(true);
      await one.isWhole(to);
    }),
  );
  expect(arrived.filter(({ status }) => status === 'rejected')).toEqual([]);
  for (const host of ['h1', 'h2']) expect(await tracesOfHydration(lab, host)).toBe('0');
  console.log(`ten containers of 4 MB each, both ways: ${((performance.now() - began) / 1000).toFixed(1)} s`);
});

test('it moves on to a third host as soon as all has come, and back to each: lazily every time', async () => {
  const one = await Follower.start(lab, { name: 'traveller', from: 'h1', files });
  const way = ['h2', 'h3', 'h2', 'h1', 'h3'];
  for (const [index, host] of way.entries()) {
    await one.migrate(host, '1M');
    await one.must(
      host,
      `echo ${host} >> way; printf %06d ${index} | dd of=f1 bs=6 seek=50000 conv=notrunc 2>/dev/null`,
    );
    await one.must(host, 'md5sum f1 f2 f3 f4 > sums');
    await one.ctl('failover', one.name, '--wait');
    expect(await one.phase()).toBe('completed');
    await one.isWhole(host);
  }
  expect(await one.must('h3', 'cat way')).toBe(way.join('\n'));
  expect((await one.must('h3', 'cat starts')).split('\n')).toHaveLength(way.length + 1);
});
