import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { rsyncDifferences } from '../volume/snapshot.ts';
import { Image } from './images.ts';
import { LazyPair, run } from './lazy-pair.ts';
import { type Patch, patched } from './patches.ts';
import { bytes } from './trees.ts';

const program = new URL('./one-call.py', import.meta.url).pathname;
const MB = 2 ** 20;
const WAITS_MS = 2000;
let image: Image;
beforeAll(() => {
  image = new Image('ext4', 2048);
});
afterAll(() => image[Symbol.dispose]());

/** Where the event thread ends, and all of its process, with the events of which kind. */
const dies = (after: string, condition: string): Patch => ({
  module: 'event-thread.ts',
  from: after,
  to: `${after}\n      if ([...parseEvents(arrivals.subarray(0, length))].some((event) => ${condition})) process.kill(process.pid, 'SIGKILL');`,
});
const arrived = 'const length = this.#wait(arrivals);';
const noted = 'const noted = this.#noted(arrivals.subarray(0, length));';
const foreign = 'event.tid !== process.pid';
const own = 'event.tid === process.pid';
const deaths = [own, foreign].flatMap((whose) => [dies(arrived, whose), dies(noted, whose), dies(arrived, whose)]);
/** Events arrive in memory that is lost with the hydrator. */
const forgets: Patch = {
  module: 'event-thread.ts',
  from: 'const { arrivals } = this.#inFlight;',
  to: 'const arrivals = Buffer.alloc(65_536);',
};

/** The next hydrator, with these changes; it may end before it says that it is there. */
async function armWith(pair: LazyPair, ...patches: Patch[]): Promise<void> {
  for (const [name, value] of Object.entries(patched(...patches))) vi.stubEnv(name, value);
  await armVolume(pair.stateDir).catch(() => {});
  vi.unstubAllEnvs();
}

/** A process that waits, then touches a file by one system call. */
class Call implements Disposable {
  readonly #child: ChildProcess;
  /** It has what it needs for its call. */
  readonly ready: Promise<void>;
  /** What it saw. */
  readonly result: Promise<string>;

  constructor(call: string, path: string) {
    const child = spawn('python3', [program, call, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    const [ready, result] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
    lines.on('line', (line) => (line === 'ready' ? ready.resolve() : result.resolve(line)));
    [this.ready, this.result] = [ready.promise, result.promise];
  }

  begin(): void {
    this.#child.stdin?.write('\n');
  }

  /** Asleep for an answer, it or the child that it has. */
  get isBlocked(): boolean {
    const { pid = 0 } = this.#child;
    return [pid, ...numbersIn(`/proc/${pid}/task/${pid}/children`)].some((id) => waits(id));
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

function waits(pid: number): boolean {
  return /^State:\s+D/m.test(fs.readFileSync(`/proc/${pid}/status`, 'latin1'));
}

function numbersIn(path: string): number[] {
  return fs.readFileSync(path, 'latin1').split(' ').filter(Boolean).map(Number);
}

function begun(stack: DisposableStack, call: string, path: string): Call {
  const one = stack.use(new Call(call, path));
  one.begin();
  return one;
}

/** The first and smallest of all is what a hydrator that may copy one byte a second copies at once. */
function build(root: string, names: readonly string[]): void {
  fs.writeFileSync(join(root, 'smallest'), bytes(1, 70_000));
  for (const name of names) {
    const length = name.startsWith('open') ? 200_000 : 2 * MB;
    const content = Buffer.concat([Buffer.from('#!/bin/cat\n'), bytes(name.length, length)]);
    fs.writeFileSync(join(root, name), content, { mode: 0o755 });
  }
}

/** Each thread: one that is not yet may read the first event by itself. */
function isStopped(pid: number): boolean {
  return fs
    .readdirSync(`/proc/${pid}/task`)
    .every((task) => /\) T /.test(fs.readFileSync(`/proc/${pid}/task/${task}/stat`, 'latin1')));
}

async function beginPaused(pair: LazyPair): Promise<void> {
  await pair.begin();
  await controlVolume(pair.stateDir, { do: 'pause' });
}

async function resumeAndFinish(pair: LazyPair): Promise<void> {
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
  await controlVolume(pair.stateDir, { do: 'resume' });
  await pair.finish();
}

test('an access that a hydrator was told of when it was killed gets its bytes from the next, however often that happens', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  using stack = new DisposableStack();
  build(pair.source, [...deaths.keys()].map(String));
  await beginPaused(pair);
  const calls: Call[] = [];
  for (const [index, death] of deaths.entries()) {
    await pair.kill(pair.hydrator() ?? 0);
    await armWith(pair, death);
    calls.push(begun(stack, 'pread', join(pair.target, String(index))));
    await expect.poll(() => pair.hydrator()).toBeNull();
  }
  await armVolume(pair.stateDir);
  for (const [index, call] of calls.entries()) {
    const plain = begun(stack, 'pread', join(pair.source, String(index)));
    expect(await call.result).toBe(await plain.result);
  }
  await resumeAndFinish(pair);
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

test('what the waiting thread does says which file it wants; else it waits until everything is here', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  using stack = new DisposableStack();
  const names = (await run('python3', [program, '--list'])).stdout.trim().split('\n');
  build(pair.source, names);
  const plain = join(pair.directory, 'plain');
  await run('cp', ['-a', pair.source, plain]);
  await beginPaused(pair);
  await pair.kill(pair.hydrator() ?? 0);
  await armWith(pair, dies(arrived, `event.fd >= 0 && length > 24 * ${names.length}`));
  const calls = names.map((name) => stack.use(new Call(name, join(pair.target, name))));
  await Promise.all(calls.map(({ ready }) => ready));
  const hydrator = pair.hydrator() ?? 0;
  process.kill(hydrator, 'SIGSTOP');
  await expect.poll(() => isStopped(hydrator)).toBe(true);
  for (const call of calls) call.begin();
  await expect.poll(() => calls.every(({ isBlocked }) => isBlocked)).toBe(true);
  process.kill(hydrator, 'SIGCONT');
  await expect.poll(() => pair.hydrator()).toBeNull();

  await armVolume(pair.stateDir);
  for (const [index, name] of names.entries()) {
    if (name === 'submitted') continue;
    const expected = begun(stack, name, join(plain, name));
    expect(await calls[index]?.result, name).toBe(await expected.result);
  }
  expect((await pair.status()).trouble.join()).toContain('1 accesses wait until everything is here');
  await resumeAndFinish(pair);
  const expected = begun(stack, 'submitted', join(plain, 'submitted'));
  expect(await calls[names.indexOf('submitted')]?.result).toBe(await expected.result);
  expect((await run('diff', ['-r', plain, pair.target])).stdout).toBe('');
});

test('control: if what was read is lost with its reader, somebody waits for ever', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  using stack = new DisposableStack();
  build(pair.source, ['first', 'second']);
  await beginPaused(pair);
  await pair.kill(pair.hydrator() ?? 0);
  await armWith(pair, forgets, dies(arrived, foreign));
  const lost = begun(stack, 'pread', join(pair.target, 'first'));
  await expect.poll(() => pair.hydrator()).toBeNull();
  await armVolume(pair.stateDir);
  const next = begun(stack, 'pread', join(pair.target, 'first'));
  const both = Promise.all([lost.result, next.result]);
  expect(await Promise.race([both, delay(WAITS_MS, 'waits')])).toBe('waits');
});
