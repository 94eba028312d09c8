import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKept } from '../../../src/agent/lazy/ahead.ts';
import { AHEAD_MARK, findHolders, HOLDER_MARK, startHolder } from '../../../src/agent/lazy/holders.ts';
import { coolHydrator, warmHydrator } from '../../../src/agent/lazy/hydrator-process.ts';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { Image } from './images.ts';
import { isRunning, LazyPair } from './lazy-pair.ts';
import { bytes } from './trees.ts';

const module = new URL('../../../src/agent/lazy/hydrator-process.ts', import.meta.url).pathname;
let image: Image;
beforeAll(() => {
  image = new Image('ext4', 256);
});
afterAll(() => image[Symbol.dispose]());

test('the hydrator that waits becomes the volume’s, and one that has died meanwhile does no harm', async () => {
  for (const dies of [false, true]) {
    await using pair = new LazyPair(image.path, { bwlimit: 1 });
    fs.writeFileSync(join(pair.source, 'smallest'), bytes(2, 70_000));
    fs.writeFileSync(join(pair.source, 'file'), bytes(1, 3_000_000));
    await pair.serve();
    await (await warmHydrator(pair.stateDir, pair.target, [])).loaded;
    await warmHydrator(pair.stateDir, pair.target, []);
    const waiting = await pidOf(pair);
    // One that becomes another program just now shows no environment.
    await expect.poll(() => findHolders(pair.stateDir, AHEAD_MARK)).toHaveLength(2);
    const ahead = findHolders(pair.stateDir, AHEAD_MARK).map(({ pid }) => pid);
    expect(findHolders(pair.stateDir), 'no volume is protected by them').toEqual([]);
    await pair.stage();
    if (dies) {
      await pair.kill(waiting);
      await expect.poll(() => ahead.filter(isRunning)).toEqual([]);
    }
    await armVolume(pair.stateDir);
    if (!dies) {
      expect(pair.hydrator()).toBe(waiting);
      expect((await pair.holders()).sort()).toEqual(ahead.sort());
    }
    expect(fs.readFileSync(join(pair.target, 'file')).equals(bytes(1, 3_000_000))).toBe(true);
    await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
    await pair.finish();
  }
});

test('one that nobody needs any more ends, and so does that of an agent that has died', async () => {
  await using pair = new LazyPair(image.path);
  await (await warmHydrator(pair.stateDir, pair.target, [])).loaded;
  const first = await pidOf(pair);
  await expect.poll(() => findHolders(pair.stateDir, AHEAD_MARK)).toHaveLength(2);
  coolHydrator(pair.stateDir);
  await expect.poll(() => isRunning(first)).toBe(false);
  expect(findHolders(pair.stateDir, AHEAD_MARK)).toEqual([]);

  const script = `import { warmHydrator } from '${module}'; await warmHydrator('${pair.stateDir}', '${pair.target}', []); setInterval(() => {}, 1000);`;
  const agent: ChildProcess = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: 'ignore',
  });
  const second = await pidOf(pair);
  const ended = once(agent, 'exit');
  agent.kill('SIGKILL');
  await ended;
  await expect.poll(() => isRunning(second), { timeout: 5000 }).toBe(false);
  expect(findHolders(pair.stateDir, AHEAD_MARK)).toEqual([]);
});

/** A volume that lost all that protected it, beside holders that were started ahead and have this mark. */
async function armBeside(mark: string): Promise<Buffer> {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  fs.writeFileSync(join(pair.source, 'smallest'), bytes(2, 70_000));
  fs.writeFileSync(join(pair.source, 'file'), bytes(1, 3_000_000));
  await pair.begin();
  const kept = createKept();
  const rootFd = fs.openSync(pair.target, 'r');
  try {
    startHolder(kept, { stateDir: pair.stateDir, rootFd, launcher: [] }, mark);
    await pair.kill(pair.hydrator() ?? 0);
    for (const pid of await pair.holders()) await pair.kill(pid);
    await armVolume(pair.stateDir);
    const read = Buffer.alloc(4096);
    const fd = fs.openSync(join(pair.target, 'file'), 'r');
    fs.readSync(fd, read, 0, read.length, 2_000_000);
    fs.closeSync(fd);
    return read;
  } finally {
    for (const fd of [rootFd, kept.group, kept.inFlight]) fs.closeSync(fd);
  }
}

test('holders that were started ahead are not taken for those that protect a volume', async () => {
  await expect(armBeside(AHEAD_MARK)).rejects.toMatchObject({ code: 'SUSPECT' });
});

test('control: with the mark of those that do, zeros are read', async () => {
  expect(await armBeside(HOLDER_MARK)).toEqual(Buffer.alloc(4096));
});

async function pidOf(pair: LazyPair): Promise<number> {
  await expect.poll(() => pair.hydrator(), { timeout: 10_000 }).not.toBeNull();
  return pair.hydrator() ?? -1;
}
