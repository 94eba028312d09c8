import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test, vi } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { cstring } from '../../../src/linux/libc.ts';
import { setXattr } from '../../../src/linux/xattr.ts';
import { Image } from './images.ts';
import { LazyPair, run } from './lazy-pair.ts';
import { patched } from './patches.ts';
import { bytes } from './trees.ts';

/** CAP_NET_BIND_SERVICE, permitted: struct vfs_cap_data. */
const capability = Buffer.from('0000000200040000000000000000000000000000', 'hex');

/** The hydrator ends in the middle of its first write into a file, when the content is there and nothing is put back. */
const dies = patched({
  module: 'fetcher.ts',
  from: 'putBack(fd, kept);',
  to: "process.kill(process.pid, 'SIGKILL');\n putBack(fd, kept);",
});

/** Name, modification time and capability of every file. */
async function metadata(root: string): Promise<string[]> {
  const program =
    "import os,sys\nfor n in sorted(os.listdir('.')): print(n, os.stat(n).st_mtime_ns, {x: os.getxattr(n, x).hex() for x in os.listxattr(n)})";
  return (await run('python3', ['-c', program], { cwd: root })).stdout.split('\n');
}

test('a hydrator that is killed in the middle of a write leaves the time and the capabilities of the file as they were', async () => {
  using image = new Image('ext4');
  await using pair = new LazyPair(image.path);
  for (let index = 0; index < 4; index += 1) {
    const path = join(pair.source, `file-${index}`);
    fs.writeFileSync(path, bytes(index, 300_000));
    const fd = fs.openSync(path, 'r+');
    setXattr(fd, cstring('security.capability'), capability);
    fs.closeSync(fd);
    fs.utimesSync(path, 1000, 1_234_567.891);
  }
  const expected = await metadata(pair.source);
  await pair.serve();
  await pair.stage();
  for (const [name, value] of Object.entries(dies)) vi.stubEnv(name, value);
  await armVolume(pair.stateDir).catch(() => {});
  vi.unstubAllEnvs();
  await expect.poll(() => pair.hydrator()).toBeNull();
  expect(await metadata(pair.target)).not.toEqual(expected);
  await armVolume(pair.stateDir);
  await pair.finish();
  expect(await metadata(pair.target)).toEqual(expected);
});

/** The same, but only in a write behind the first chunks of the file. */
const diesLater = patched({
  module: 'fetcher.ts',
  from: 'putBack(fd, kept);',
  to: "if (offset > 100_000) process.kill(process.pid, 'SIGKILL');\n putBack(fd, kept);",
});

/** Waits for each line before it writes there, and says when it has. */
const writes = `import os, sys
f = os.open(sys.argv[1], os.O_WRONLY)
for line in sys.stdin: os.pwrite(f, b'new', int(line)); print('written', flush=True)`;

/** The time of a file into which somebody writes while its hydrator, killed in the middle of a write of its own, is replaced. */
async function timeOfWriteMeanwhile(patch: Record<string, string>): Promise<{ before: number; time: number }> {
  using image = new Image('ext4');
  await using pair = new LazyPair(image.path, { restForMs: 600_000 });
  fs.writeFileSync(join(pair.source, 'file'), bytes(1, 3_000_000));
  fs.utimesSync(join(pair.source, 'file'), 1000, 1_234_567.891);
  await pair.serve();
  await pair.stage();
  const path = join(pair.target, 'file');
  for (const [name, value] of Object.entries(diesLater)) vi.stubEnv(name, value);
  await armVolume(pair.stateDir);
  vi.unstubAllEnvs();
  using programs = new DisposableStack();
  const started = <T extends ChildProcess>(child: T): T => programs.adopt(child, () => child.kill('SIGKILL'));
  const writer = started(spawn('python3', ['-c', writes, path], { stdio: ['pipe', 'pipe', 'inherit'] }));
  const written = createInterface({ input: writer.stdout })[Symbol.asyncIterator]();
  writer.stdin.write('20000\n');
  await written.next();
  fs.utimesSync(path, 1000, 2_345_678);
  const reads = 'import os, sys; os.pread(os.open(sys.argv[1], 0), 9, 2_500_000)';
  const reader = started(spawn('python3', ['-c', reads, path]));
  const isRead = once(reader, 'exit');
  await expect.poll(() => pair.hydrator()).toBeNull();
  const before = Date.now();
  writer.stdin.write('20100\n');
  for (const [name, value] of Object.entries(patch)) vi.stubEnv(name, value);
  await armVolume(pair.stateDir);
  vi.unstubAllEnvs();
  await Promise.all([written.next(), isRead]);
  writer.stdin.end();
  await once(writer, 'exit');
  await controlVolume(pair.stateDir, { do: 'rest', forMs: 0 });
  await pair.finish();
  return { before, time: fs.statSync(path).mtimeMs };
}

test('a write that waited for the next hydrator keeps its time', async () => {
  const { before, time } = await timeOfWriteMeanwhile({});
  expect(time).toBeGreaterThan(before - 100);
});

test('control: it loses its time where what was left is put back once accesses are decided about again', async () => {
  const late = patched({
    module: 'hydrator.ts',
    from: 'putBackLeft(this.#writeNote, this.#list, this.#rootFd);\n    await this.#startEventThread();',
    to: 'await this.#startEventThread();\n    await delay(500);\n    putBackLeft(this.#writeNote, this.#list, this.#rootFd);',
  });
  const { time } = await timeOfWriteMeanwhile(late);
  expect(time).toBe(2_345_678_000);
});
