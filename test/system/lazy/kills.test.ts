import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { rsyncDifferences } from '../volume/snapshot.ts';
import { Image } from './images.ts';
import { isRunning, LazyPair, run } from './lazy-pair.ts';
import { bytes } from './trees.ts';

const MB = 2 ** 20;
let image: Image;
beforeAll(() => {
  image = new Image('ext4', 2048);
});
afterAll(() => image[Symbol.dispose]());

function build(root: string): void {
  for (let i = 0; i < 8; i += 1) fs.writeFileSync(join(root, `file-${i}`), bytes(i, 3 * MB + i * 1000));
}

/** A process that reads a piece of a file; what it read, when it could. */
function reader(path: string, offset: number, length: number): { ended: Promise<Buffer>; isBlocked: () => boolean } {
  const child = spawn('python3', [
    '-c',
    'import os,sys\nf=os.open(sys.argv[1],os.O_RDONLY)\nos.write(1,os.pread(f,int(sys.argv[3]),int(sys.argv[2])))',
    path,
    String(offset),
    String(length),
  ]);
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  const ended = once(child, 'close').then(() => Buffer.concat(parts));
  const isBlocked = (): boolean => /^State:\s+D/m.test(fs.readFileSync(`/proc/${child.pid}/status`, 'latin1'));
  return { ended, isBlocked };
}

test('readers wait while the hydrator is dead and the source away, and get the source’s bytes from the next hydrator', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  build(pair.source);
  await pair.begin();
  await pair.endServer();
  const pieces = [0, 1, 2].map((i) => ({ path: `file-${i}`, offset: 2 * MB + i * 100_000 + 17, length: 5000 }));
  const waiting = pieces.map(({ path, offset, length }) => reader(join(pair.target, path), offset, length));
  await expect.poll(async () => (await pair.status()).waiting).toBe(3);

  await pair.kill(pair.hydrator() ?? 0);
  const late = reader(join(pair.target, 'file-5'), 100, 5000);
  await expect.poll(() => [...waiting, late].every(({ isBlocked }) => isBlocked())).toBe(true);

  await armVolume(pair.stateDir);
  await pair.serve();
  for (const [index, { path, offset, length }] of pieces.entries()) {
    const expected = fs.readFileSync(join(pair.source, path)).subarray(offset, offset + length);
    expect(await waiting[index]?.ended).toEqual(expected);
  }
  expect(await late.ended).toEqual(fs.readFileSync(join(pair.source, 'file-5')).subarray(100, 5100));
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
  await pair.finish();
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

test('killed again and again while processes read and write, nothing is lost', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 3 * MB });
  build(pair.source);
  await pair.begin();
  const expected = new Map<string, Buffer>();
  for (const name of fs.readdirSync(pair.source)) expected.set(name, fs.readFileSync(join(pair.source, name)));
  const program = new URL('./writer.py', import.meta.url).pathname;
  const writer = spawn('python3', [program, pair.target, '300'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let log = '';
  writer.stdout.on('data', (text: Buffer) => {
    log += text.toString();
  });
  using _ = { [Symbol.dispose]: () => void writer.kill('SIGKILL') };
  const ended = once(writer, 'close', { signal: AbortSignal.timeout(120_000) });
  ended.catch(() => undefined);
  for (let kill = 0; kill < 4; kill += 1) {
    await delay(150);
    const hydrator = pair.hydrator();
    if (hydrator !== null) await pair.kill(hydrator);
    await armVolume(pair.stateDir);
    const [holder] = await pair.holders();
    if (kill === 2 && holder !== undefined) await pair.kill(holder);
  }
  const [code] = await ended;
  expect(log).toBe('');
  expect(code).toBe(0);
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null }).catch(() => {});
  await pair.finish();
  await run('python3', [program, pair.target, 'check', pair.source]);
});

test('a holder that is killed is replaced', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  build(pair.source);
  await pair.begin();
  const [first = 0, second = 0] = await pair.holders();
  await pair.kill(first);
  await expect.poll(async () => (await pair.holders()).filter(isRunning).length).toBe(2);
  await pair.kill(second);
  await expect.poll(async () => (await pair.holders()).filter(isRunning).length).toBe(2);
});

test('a volume that lost its hydrator and all holders while content was missing is suspect', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  build(pair.source);
  await pair.begin();
  await pair.kill(pair.hydrator() ?? 0);
  for (const pid of await pair.holders()) await pair.kill(pid);
  await expect(armVolume(pair.stateDir)).rejects.toThrow(/is suspect: All processes that protected it ended/);
  const status = await pair.status();
  expect(status.phase).toBe('suspect');
  await expect(pair.finish()).rejects.toThrow(/suspect/);
});
