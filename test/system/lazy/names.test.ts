import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { Image } from './images.ts';
import { LazyPair, run } from './lazy-pair.ts';
import { patched } from './patches.ts';
import { bytes } from './trees.ts';

const program = new URL('./names.py', import.meta.url).pathname;
const MB = 2 ** 20;
const ways = ['linked', 'relinked'];
const content = bytes(2, 3 * MB);
let image: Image;
beforeAll(() => {
  image = new Image('xfs', 1024);
});
afterAll(() => image[Symbol.dispose]());

/** What a process reads by one name of a file that has lost all its names, of which another was let go of. */
async function readByLastName(pair: LazyPair): Promise<string[]> {
  fs.writeFileSync(join(pair.source, 'smallest'), bytes(1, 70_000));
  for (const way of [...ways, 'deleted']) fs.writeFileSync(join(pair.source, way), content);
  await pair.begin();
  await controlVolume(pair.stateDir, { do: 'pause' });
  const seen: string[] = [];
  for (const way of ways) seen.push((await run('python3', [program, join(pair.target, way), way])).stdout.trim());
  return seen;
}

test('a file without a name is protected as long as anybody has it open, whatever other name of it is let go of', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  const expected = content.subarray(1_000_000, 1_000_008).toString('hex');
  expect(await readByLastName(pair)).toEqual([expected, expected]);
  const free = (): number => fs.statfsSync(image.path).bavail * 4096;
  const before = free();
  await run('python3', ['-c', 'import os,sys; os.pread(os.open(sys.argv[1], 0), 9, 0)', join(pair.target, 'deleted')]);
  fs.unlinkSync(join(pair.target, 'deleted'));
  await expect.poll(free).toBeGreaterThan(before + 2 * MB);
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
  await controlVolume(pair.stateDir, { do: 'resume' });
  await pair.finish();
});

/** As above, and between the last names and the read something happens. */
async function readAfter(pair: LazyPair, happens: () => Promise<void>): Promise<string[]> {
  fs.writeFileSync(join(pair.source, 'smallest'), bytes(1, 70_000));
  for (const way of ways) fs.writeFileSync(join(pair.source, way), content);
  await pair.begin();
  await controlVolume(pair.stateDir, { do: 'pause' });
  const seen: string[] = [];
  for (const way of ways) {
    const reader = spawn('python3', [program, join(pair.target, way), way, 'wait'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface(reader.stdout)[Symbol.asyncIterator]();
    expect(await lines.next()).toMatchObject({ value: 'closed' });
    await happens();
    reader.stdin.end('\n');
    seen.push(String((await lines.next()).value));
  }
  return seen;
}

function readAfterKill(pair: LazyPair): Promise<string[]> {
  return readAfter(pair, async () => {
    const hydrator = pair.hydrator();
    if (hydrator !== null) await pair.kill(hydrator);
    await armVolume(pair.stateDir);
  });
}

/** The event thread answers, then closes what it has got: as long as it has not, the name is not let go of. */
function readOnceLetGo(pair: LazyPair): Promise<string[]> {
  return readAfter(pair, async () => {
    const directory = `/proc/${pair.hydrator()}/fd`;
    const leadsTo = (fd: string): string => {
      try {
        return fs.readlinkSync(join(directory, fd));
      } catch {
        return 'closed by now';
      }
    };
    const held = (): string[] =>
      fs
        .readdirSync(directory)
        .map(leadsTo)
        .filter((path) => path.startsWith(pair.target));
    await expect.poll(held).toEqual([pair.target]);
  });
}

test('nor does it lose its protection when the hydrator is killed, which has all those names open', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  const expected = content.subarray(1_000_000, 1_000_008).toString('hex');
  expect(await readAfterKill(pair)).toEqual([expected, expected]);
});

test('control: if it may be opened by a second name before it is whole, it reads zeros then', async () => {
  const change = { module: 'demand.ts', from: 'if (file.hasOtherNames) return whole;', to: '' };
  for (const [name, value] of Object.entries(patched(change))) vi.stubEnv(name, value);
  try {
    await using pair = new LazyPair(image.path, { bwlimit: 1 });
    expect(await readAfterKill(pair)).toContain('0000000000000000');
  } finally {
    vi.unstubAllEnvs();
  }
});

test('control: unless each name that was opened is held on to, it reads zeros', async () => {
  const forgets = { module: 'event-thread.ts', from: 'const isKept = ', to: 'const isKept = false && ' };
  const opens = { module: 'demand.ts', from: 'if (file.hasOtherNames) return whole;', to: '' };
  for (const [name, value] of Object.entries(patched(forgets, opens))) vi.stubEnv(name, value);
  try {
    await using pair = new LazyPair(image.path, { bwlimit: 1 });
    expect(await readOnceLetGo(pair)).toContain('0000000000000000');
  } finally {
    vi.unstubAllEnvs();
  }
});
