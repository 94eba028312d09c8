/**
 * What a lazy volume's hydrator and the kernel hold while a million files wait for their content: a tree of sparse files, 100 GiB
 * by their sizes, is served, staged and armed by `bin/cargo-lazy`, as an operator does it.
 *
 *   node bench/hydrator-memory.ts [--files 1000000] [--gib 100] [--seconds 60] [--directory /var/tmp] [--quick]
 *
 * `--quick`: a tenth of the files. Each file has 4 KiB of data and holes; 32 images have the rest of the size. After the
 * volume is armed nothing is copied while the memory is read; then the background copy runs at full speed for `--seconds`,
 * with the background's work seen by the peak. The kernel's share is what its slabs hold more after the arming, caches dropped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { run } from '../demo/command.ts';
import { LazyStatus } from '../src/agent/lazy/status.ts';
import { readRecord } from '../src/agent/lazy/volume-record.ts';
import { describeMachine } from './machine.ts';

const AIM_MB = 150;
const STEP_LIMIT_MS = 20 * 60_000;
const FILES_A_DIRECTORY = 1000;
const IMAGES = 32;
const DATA_BYTES = 4096;
/** Just above what cargo-lazy sends with the tree. */
const FILE_BYTES = 68 * 1024;

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '1000000' },
    gib: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '60' },
    directory: { type: 'string', default: '/var/tmp' },
    quick: { type: 'boolean', default: false },
  },
});
const files = Number(values.files) / (values.quick ? 10 : 1);
const totalBytes = (Number(values.gib) * 2 ** 30) / (values.quick ? 10 : 1);
const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());
const { signal } = interruption;

await using undo = new AsyncDisposableStack();
const directory = fs.mkdtempSync(join(values.directory, 'cargo-bench-'));
undo.defer(() => fs.rmSync(directory, { recursive: true, force: true }));
const [source, target, state] = ['source', 'target', 'state'].map((name) => join(directory, name)) as [
  string,
  string,
  string,
];
const address = `unix:${join(directory, 'socket')}`;
for (const path of [source, target]) fs.mkdirSync(path);

const lazy = (...args: string[]): Promise<string> => run('cargo-lazy', args, { limitMs: STEP_LIMIT_MS, signal });
const began = performance.now();
const say = (what: string): void =>
  console.error(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${what}`);

await makeTree();
say('the tree is made');
const server = await serve();
undo.defer(async () => {
  const ended = once(server, 'exit');
  server.kill('SIGKILL');
  await ended;
});
// Until the volume is dropped its target must not be touched: that would wait for the source.
undo.defer(() => run('cargo-lazy', ['drop', '--state', state], { limitMs: STEP_LIMIT_MS }).then(() => {}));
// One byte a second: the background copy stands still.
const staged = await lazy('stage', '--root', target, '--state', state, '--source', address, '--bwlimit', '1');
say(staged.trim());
const slabsBefore = slabBytes();
await lazy('arm', '--state', state);
const hydrator = (await readRecord(state))?.hydrator?.pid ?? 0;
const armed = memoryOf(hydrator);
say('armed');
const kernelBytes = slabBytes() - slabsBefore;
await delay(2000, undefined, { signal });
const waiting = memoryOf(hydrator);
const before = await status();
await lazy('bwlimit', '--state', state);
await delay(Number(values.seconds) * 1000, undefined, { signal });
const copying = memoryOf(hydrator);
const after = await status();
say('measured');

const done = after.filesDone - before.filesDone;
const gib = (before.bytesMissing / 2 ** 30).toFixed(1);
console.log(
  `${before.files} files, ${(totalBytes / 2 ** 30).toFixed(0)} GiB by size, ${gib} GiB to fetch; ${describeMachine()}`,
);
console.log(
  `hydrator: ${waiting.rss} MB while all waits (aim ${AIM_MB}), peak ${armed.peak} MB until armed, ${copying.peak} MB while ${done} files were copied in ${values.seconds} s`,
);
console.log(`kernel: ${Math.round(kernelBytes / before.files)} bytes a file that waits`);
console.log(
  `| \`bench/hydrator-memory.ts\`: at most ${AIM_MB} MB in the hydrator while ${before.files} files of ${(totalBytes / 2 ** 30).toFixed(0)} GiB wait | ${waiting.rss} MB, peak ${copying.peak} MB with the copy at full speed; kernel ${Math.round(kernelBytes / before.files)} bytes a file; ${describeMachine()} |`,
);

async function status(): Promise<LazyStatus> {
  return LazyStatus.parse(JSON.parse(await lazy('status', '--state', state)));
}

async function serve(): Promise<ChildProcess> {
  const program = join(import.meta.dirname, '../bin/cargo-lazy');
  const args = ['serve', '--root', source, '--state', join(directory, 'source-state'), '--unix', address.slice(5)];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  await once(child.stdout, 'data', { signal });
  return child;
}

/** MB: the RSS now, and the most it ever was. */
function memoryOf(pid: number): { rss: number; peak: number } {
  const text = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (field: string): number =>
    Math.round((Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)?.[1]) * 1024) / 1e6);
  return { rss: read('VmRSS'), peak: read('VmHWM') };
}

/** What the kernel can't give back: caches of files and names are dropped first; what was used lately goes at the third time. */
function slabBytes(): number {
  for (let pass = 0; pass < 3; pass += 1) fs.writeFileSync('/proc/sys/vm/drop_caches', '2');
  return Number(/^Slab:\s+(\d+) kB/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024;
}

/** Heeds the interruption between two directories. */
async function makeTree(): Promise<void> {
  const imageBytes = Math.floor((totalBytes - (files - IMAGES) * FILE_BYTES) / IMAGES);
  const data = Buffer.alloc(DATA_BYTES, 'x');
  for (let index = 0; index < files; index += 1) {
    const folder = join(source, `d${Math.floor(index / FILES_A_DIRECTORY)}`);
    if (index % FILES_A_DIRECTORY === 0) {
      await delay(0, undefined, { signal });
      fs.mkdirSync(folder);
    }
    const fd = fs.openSync(join(folder, `file-${index}`), 'w');
    fs.writeSync(fd, data);
    fs.ftruncateSync(fd, index < IMAGES ? imageBytes : FILE_BYTES);
    fs.closeSync(fd);
  }
}
