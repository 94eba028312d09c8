import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { type FileSystem, fileSystems, Image } from './images.ts';
import { LazyPair } from './lazy-pair.ts';
import { type Patch, patched } from './patches.ts';
import { bytes } from './trees.ts';

const MB = 2 ** 20;
const BLOCK = 4096;
const CUTS = 2;
/** What a power cut takes is chance: a control tries as often until it took something. */
const ATTEMPTS = 5;
/** Small ones that nobody touches, which come first, and large ones that processes write to. */
const [SMALL, LARGE] = [4, 8];
/** So much happens before the power goes. */
const [LINES, FETCHED] = [40, 2 * MB];
const WRITERS = 2;
const PATIENCE = { timeout: 60_000, interval: 50 };
const SEED = Number(process.env['CARGO_POWER_CUT_SEED'] ?? Date.now() % 0x7fff_ffff);
const program = new URL('./synced-writer.py', import.meta.url).pathname;

/** As synced-writer.py says them; names are of one writer only. */
type Change =
  | [name: string, what: 'write', offset: number, length: number, fill: number]
  | [name: string, what: 'cut', size: number]
  | [name: string, what: 'read', offset: number, length: number, sha256: string];

/** What the files hold, as far as their writers were told that it is on the disk. */
class Model {
  readonly files = new Map<string, Buffer>();
  /** What writers had begun when the power went. */
  readonly begun: Change[] = [];
  readonly wrong: string[] = [];

  apply(change: Change): void {
    const [name, what, at] = change;
    const content = this.files.get(name) ?? Buffer.alloc(0);
    if (what === 'cut') this.files.set(name, content.subarray(0, at));
    else if (what === 'write') content.fill(change[4], at, at + change[3]);
    else {
      const sha256 = createHash('sha256')
        .update(content.subarray(at, at + change[3]))
        .digest('hex');
      if (sha256 !== change[4]) this.wrong.push(`${name} at ${at}+${change[3]} read differently`);
    }
  }

  /** Of what was begun any part may be there, byte by byte, and nothing else may. */
  settle(name: string, found: Buffer): void {
    const content = this.files.get(name) ?? Buffer.alloc(0);
    const change = this.begun.find(([of]) => of === name);
    const isShort = change?.[1] === 'cut' && found.length === change[2];
    if (found.length !== content.length && !isShort) this.wrong.push(`${name} has ${found.length} bytes`);
    for (let at = 0; at < found.length; at += 1) {
      if (found[at] === content[at]) continue;
      if (change !== undefined && mayShow(change, at, found[at])) continue;
      this.wrong.push(`${name} at ${at} is ${found[at]}, not ${content[at]}`);
      break;
    }
    this.files.set(name, found);
  }
}

/** Whether a change that was only begun explains this byte. A file system that cuts a file zeroes the rest of its last block first. */
function mayShow(change: Change, at: number, byte: number | undefined): boolean {
  const [, what, start] = change;
  if (what === 'write') return at >= start && at < start + change[3] && byte === change[4];
  return what === 'cut' && at >= start && at < Math.ceil(start / BLOCK) * BLOCK && byte === 0;
}

/** Lets processes write until the power goes, with what they had been told noted in `model`. */
async function writeUntilCut(image: Image, pair: LazyPair, model: Model, seed: number): Promise<void> {
  const names = [...model.files.keys()].slice(SMALL);
  const lines: string[][] = [];
  const writers = Array.from({ length: WRITERS }, (_, index) => {
    const own = names.filter((_name, at) => at % WRITERS === index);
    const writer = spawn('python3', [program, pair.target, String(seed + index), ...own], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const output: string[] = [];
    lines.push(output);
    writer.stdout.on('data', (text: Buffer) => output.push(text.toString()));
    return writer;
  });
  const said = (): number[] => lines.map((output) => output.join('').split('\n').length);
  await vi.waitUntil(() => Math.min(...said()) > LINES, PATIENCE);
  await vi.waitUntil(() => hasBegun(pair), PATIENCE);
  await delay(seed % 300);
  const ended = writers.map((writer) => once(writer, 'close'));
  await image.cutPower(async () => {
    for (const writer of writers) writer.kill('SIGKILL');
    await pair.killAll();
    await Promise.all(ended);
  });
  model.begun.length = 0;
  for (const output of lines) note(model, output.join(''));
}

/** Something is durable, or much is here. */
async function hasBegun(pair: LazyPair): Promise<boolean> {
  const { filesDone, bytesFetched } = await pair.status();
  return filesDone > 0 || bytesFetched > FETCHED;
}

/**
 * A writer's last change may have happened or not, even if it says that it was synced: fsync(2) on XFS answers 0 when the
 * file system is shut down while it runs (xfs_fsync_flush_log of fs/xfs/xfs_file.c finds the inode not pinned any more),
 * where a real power cut would have taken the answer too.
 */
function note(model: Model, output: string): void {
  const said: (Change | 'synced')[] = output
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
  const changes = said.filter((line) => line !== 'synced');
  for (const [index, change] of changes.entries()) {
    if (index < changes.length - 1 || change[1] === 'read') model.apply(change);
    else model.begun.push(change);
  }
}

/** What is wrong after some power cuts while files arrive and are written to. */
async function cutAgainAndAgain(kind: FileSystem, cuts: number, seed = SEED): Promise<string[]> {
  using image = new Image(kind, 512);
  await using pair = new LazyPair(image.path, { bwlimit: 3 * MB, sourceDirectory: image.directory });
  const model = new Model();
  for (let index = 0; index < SMALL + LARGE; index += 1) {
    const content = bytes(index, index < SMALL ? 300_000 : 2 * MB + 77);
    fs.writeFileSync(join(pair.source, `file-${index}`), content);
    model.files.set(`file-${index}`, content);
  }
  await pair.begin();
  for (let cut = 0; cut < cuts; cut += 1) {
    await writeUntilCut(image, pair, model, seed + cut * WRITERS);
    pair.playBoot();
    await armVolume(pair.stateDir);
    for (const [name] of model.begun) model.settle(name, await fs.promises.readFile(join(pair.target, name)));
  }
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null }).catch(() => {});
  await pair.finish();
  model.begun.length = 0;
  for (const name of model.files.keys()) model.settle(name, fs.readFileSync(join(pair.target, name)));
  return model.wrong;
}

test.concurrent.each(fileSystems)(
  `on %s no power cut takes what a process had synced, or shows what nobody wrote (seed ${SEED})`,
  async (kind) => {
    expect(await cutAgainAndAgain(kind, CUTS)).toEqual([]);
  },
);

const settleEvery = (ms: number): Patch => ({
  module: 'hydrator.ts',
  from: 'const TEND_MS = 1000;',
  to: `const TEND_MS = ${ms};`,
});
const controls: [string, Patch[]][] = [
  [
    'a chunk is durable before it may be written to',
    [
      settleEvery(100_000),
      { module: 'demand.ts', from: "{ need: 'range', durable: true }", to: "{ need: 'range', durable: false }" },
    ],
  ],
  [
    'content is on the disk before the journal says so',
    [settleEvery(50), { module: 'settler.ts', from: 'await syncDataOf(opened.fd);', to: 'void opened.fd;' }],
  ],
];

test.each(controls)('control: unless %s, a power cut does', async (_, patches) => {
  for (const [name, value] of Object.entries(patched(...patches))) vi.stubEnv(name, value);
  try {
    const wrong: string[] = [];
    for (let attempt = 0; wrong.length === 0 && attempt < ATTEMPTS; attempt += 1) {
      wrong.push(...(await cutAgainAndAgain('ext4', 1, SEED + attempt * WRITERS)));
    }
    expect(wrong).not.toEqual([]);
  } finally {
    vi.unstubAllEnvs();
  }
});
