import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { faultPoints } from '../../../src/faults/points.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cargo-points-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

/** A process that passes a point twice, the second time with its event loop blocked. */
function pass(env: Record<string, string>): ChildProcess {
  const reach = new URL('../../../src/faults/reach.ts', import.meta.url).href;
  const script = `
    const { reach, reachBlocking } = await import(${JSON.stringify(reach)});
    await reach('target.start.started');
    reachBlocking('target.round.mid');
    console.log('passed');`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

const output = (child: ChildProcess): Promise<string> =>
  child.stdout === null ? Promise.reject() : text(child.stdout);

test('no point is named twice', () => {
  expect(new Set(faultPoints).size).toBe(faultPoints.length);
});

test('without the variable a point does nothing, whatever stands in the directory', async () => {
  writeFileSync(join(directory, 'target.start.started.hold'), '');
  expect(await output(pass({ CARGO_FAULT_POINTS_: directory }))).toBe('passed\n');
  expect(readdirSync(directory)).toEqual(['target.start.started.hold']);
});

test('without the directory a point does nothing', async () => {
  expect(await output(pass({ CARGO_FAULT_POINTS: join(directory, 'none') }))).toBe('passed\n');
});

test.each(['target.start.started', 'target.round.mid'])('a process stops at %s until it is let go', async (point) => {
  writeFileSync(join(directory, `${point}.hold`), '');
  const child = pass({ CARGO_FAULT_POINTS: directory });
  const passed = output(child);
  const held = join(directory, `${point}.held`);
  await expect.poll(() => existsSync(held)).toBe(true);
  expect(child.exitCode).toBe(null);
  rmSync(held);
  expect(await passed).toBe('passed\n');
  expect(readFileSync(join(directory, 'reached'), 'utf8')).toBe('target.start.started\ntarget.round.mid\n');
});

test('a process can be killed where it is held', async () => {
  writeFileSync(join(directory, 'target.round.mid.hold'), '');
  const child = pass({ CARGO_FAULT_POINTS: directory });
  await expect.poll(() => existsSync(join(directory, 'target.round.mid.held'))).toBe(true);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  expect(await ended).toEqual([null, 'SIGKILL']);
});
