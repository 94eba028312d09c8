import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { cargoLab, lab, leftovers, must } from './cargo-lab.ts';

const name = `cut-short-${process.pid}`;

afterEach(async () => {
  await must(['down', '--name', name]);
});

/** From before the first bridge to after the last agent: `up` takes about three seconds on an idle machine. */
test.each([300, 700, 1100, 1600, 2400])('down clears an `up` that was killed after %i ms', async (killedAfterMs) => {
  const up = spawn(cargoLab, ['up', '--hosts', '2', '--disk', '2G', '--name', name], { stdio: 'ignore' });
  const ended = once(up, 'exit');
  await delay(killedAfterMs);
  up.kill('SIGKILL');
  await ended;
  expect(await lab(['down', '--name', name])).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(leftovers(name)).toEqual([]);
});

test('a lab can be made again after an interrupted `up` was cleared', async () => {
  const up = spawn(cargoLab, ['up', '--bare', '--hosts', '1', '--disk', '2G', '--name', name], { stdio: 'ignore' });
  const ended = once(up, 'exit');
  await delay(800);
  up.kill('SIGKILL');
  await ended;
  await must(['down', '--name', name]);
  await must(['up', '--bare', '--hosts', '1', '--disk', '2G', '--name', name]);
  await must(['exec', '--name', name, 'h1', '--', 'docker', 'ps']);
});
