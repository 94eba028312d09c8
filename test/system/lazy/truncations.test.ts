import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { Image } from './images.ts';
import { LazyPair } from './lazy-pair.ts';
import { patched } from './patches.ts';

const MB = 2 ** 20;
const FILES = 250;
const program = new URL('./truncations.py', import.meta.url).pathname;
let image: Image;
beforeAll(() => {
  image = new Image('ext4', 2048);
});
afterAll(() => image[Symbol.dispose]());

/** How many files show content of the source above the point where a process cut them off. */
async function staleFiles(): Promise<number> {
  await using pair = new LazyPair(image.path, { bwlimit: 40 * MB });
  const content = Buffer.alloc(MB + 100_123, 'S');
  for (let i = 0; i < FILES; i += 1) fs.writeFileSync(join(pair.source, `file-${i}`), content);
  await pair.begin();
  const marker = join(pair.directory, 'shortened');
  const stress = spawn('python3', [program, pair.target, marker], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  stress.stdout.on('data', (text: Buffer) => {
    output += text.toString();
  });
  const ended = once(stress, 'close');
  await expect.poll(() => stress.exitCode !== null || fs.existsSync(marker)).toBe(true);
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null }).catch(() => {});
  await pair.finish();
  stress.stdin.end();
  await ended;
  return Number(output);
}

test('a file that is cut off never shows the source’s bytes above the cut again, whatever writes meanwhile', async () => {
  expect(await staleFiles()).toBe(0);
});

test('control: without the barrier before truncations it does', async () => {
  const from = "{ need: 'whole', durable: true }";
  const to = "{ need: 'nothing', durable: false }";
  for (const [name, value] of Object.entries(patched({ module: 'demand.ts', from, to }))) vi.stubEnv(name, value);
  try {
    expect(await staleFiles()).toBeGreaterThan(0);
  } finally {
    vi.unstubAllEnvs();
  }
});
