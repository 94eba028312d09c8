import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { Image } from './images.ts';
import { LazyPair, run } from './lazy-pair.ts';
import { type Patch, patched } from './patches.ts';
import { bytes } from './trees.ts';

const MB = 2 ** 20;
const PATIENCE = { timeout: 20_000, interval: 20 };

afterEach(() => {
  vi.unstubAllEnvs();
});

function patch(...patches: Patch[]): void {
  for (const [name, value] of Object.entries(patched(...patches))) vi.stubEnv(name, value);
}

const written = (path: string, text: string): Promise<unknown> =>
  run('python3', [
    '-c',
    'import os, sys; fd = os.open(sys.argv[1], os.O_WRONLY); os.pwrite(fd, sys.argv[2].encode(), 0); os.fsync(fd)',
    path,
    text,
  ]);

async function hurry(pair: LazyPair): Promise<void> {
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
}

test('what a power cut left of the journal of what is here is not believed, though the first hydrator after it died', async () => {
  using image = new Image('ext4', 256);
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  fs.writeFileSync(join(pair.source, 'first'), bytes(1, 70_000));
  fs.writeFileSync(join(pair.source, 'file'), bytes(2, 3 * MB));
  await pair.begin();
  await written(join(pair.target, 'file'), 'of the process');
  await pair.killAll();
  pair.playBoot();
  fs.truncateSync(join(pair.stateDir, 'chunks-here'), 0);

  const record = 'await writeRecord(stateDir, next);';
  patch({ module: 'open-volume.ts', from: record, to: `${record} process.kill(process.pid, 'SIGKILL');` });
  await expect(armVolume(pair.stateDir)).rejects.toThrow();
  vi.unstubAllEnvs();
  await armVolume(pair.stateDir);
  await hurry(pair);
  await pair.finish();
  expect(fs.readFileSync(join(pair.target, 'file')).subarray(0, 14).toString()).toBe('of the process');
});

test('what the disk did not take is fetched again: a sync says only once that it failed', async () => {
  using image = new Image('ext4', 256);
  await using pair = new LazyPair(image.path, {});
  const content = bytes(2, 3 * MB);
  fs.writeFileSync(join(pair.source, 'file'), content);
  // The pages are gone and clean, as after a failed writeback.
  const fails = `const fs_ = await import('node:fs');
    if (!fs_.existsSync('${pair.directory}/failed')) {
      fs_.writeFileSync('${pair.directory}/failed', '');
      fs_.writeSync(opened.fd, Buffer.alloc(65536), 0, 65536, 0);
      throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    }
    await syncDataOf(opened.fd);`;
  patch({ module: 'settler.ts', from: 'await syncDataOf(opened.fd);', to: fails });
  await pair.begin();
  await pair.finish();
  expect(fs.existsSync(join(pair.directory, 'failed')), 'a sync failed').toBe(true);
  expect(fs.readFileSync(join(pair.target, 'file')).equals(content)).toBe(true);
});

const deletionIsSynced: Patch = {
  module: 'settler.ts',
  from: '!isFew || areThere.includes(false)',
  to: '!isFew',
};

/** A file that has not come is deleted, and with that done with; the power goes before the deletion is on the disk. */
async function deletedBeforeTheCut(): Promise<'old' | 'gone' | 'neither'> {
  using image = new Image('btrfs', 512);
  await using pair = new LazyPair(image.path, { bwlimit: 200_000, sourceDirectory: image.directory });
  const old = bytes(2, 300_000);
  for (const name of ['a-first', 'file']) fs.writeFileSync(join(pair.source, name), old);
  fs.writeFileSync(join(pair.source, 'large'), bytes(3, 4 * MB));
  await pair.begin();
  fs.unlinkSync(join(pair.target, 'file'));
  // Nothing else may be written down meanwhile: that would take the deletion to the disk with it.
  await vi.waitUntil(async () => (await pair.status()).filesDone >= 2, PATIENCE);
  await image.cutPower(() => pair.killAll());
  pair.playBoot();
  await armVolume(pair.stateDir);
  if (!fs.existsSync(join(pair.target, 'file'))) return 'gone';
  return (await fs.promises.readFile(join(pair.target, 'file'))).equals(old) ? 'old' : 'neither';
}

test('a file that was deleted before it had come is whole after a power cut, if it is there again', async () => {
  expect(['old', 'gone']).toContain(await deletedBeforeTheCut());
});

test('control: were the deletion not on the disk when the file is done with, it would not be whole', async () => {
  patch(deletionIsSynced);
  expect(await deletedBeforeTheCut()).toBe('neither');
});

test('a hydrator that can start no holder goes on, and tries again', async () => {
  using image = new Image('ext4', 256);
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  const content = bytes(2, 3 * MB);
  fs.writeFileSync(join(pair.source, 'first'), bytes(1, 70_000));
  fs.writeFileSync(join(pair.source, 'file'), content);
  const full = join(pair.directory, 'full');
  const spawns = "const [command = 'sh', ...args] =";
  const refuses = `if (process.getBuiltinModule('node:fs').existsSync('${full}')) throw new Error('no process left'); ${spawns}`;
  patch({ module: 'holders.ts', from: spawns, to: refuses });
  await pair.begin();
  const hydrator = pair.hydrator();
  fs.writeFileSync(full, '');
  for (const pid of await pair.holders()) await pair.kill(pid);
  await expect.poll(async () => (await pair.status()).trouble.join(), PATIENCE).toContain('no process left');
  expect((await fs.promises.readFile(join(pair.target, 'file'))).equals(content)).toBe(true);
  fs.rmSync(full);
  await expect.poll(async () => (await readHolders(pair)).length, PATIENCE).toBe(2);
  expect(pair.hydrator()).toBe(hydrator);
});

async function readHolders(pair: LazyPair): Promise<number[]> {
  return (await pair.holders()).filter((pid) => fs.existsSync(`/proc/${pid}/fd/5`));
}

test('the file system of what is missing can not be unmounted while only holders know of it', async () => {
  using image = new Image('ext4', 256);
  const elsewhere = fs.mkdtempSync(join(tmpdir(), 'cargo-source-'));
  try {
    await using pair = new LazyPair(image.path, { bwlimit: 1, sourceDirectory: elsewhere });
    fs.writeFileSync(join(pair.source, 'first'), bytes(1, 70_000));
    fs.writeFileSync(join(pair.source, 'file'), bytes(2, 3 * MB));
    await pair.begin();
    await pair.kill(pair.hydrator() ?? 0);
    expect(spawnSync('umount', [image.path]).status, 'its marks would be lost').not.toBe(0);
  } finally {
    fs.rmSync(elsewhere, { recursive: true, force: true });
  }
});

test('a file that got the number of one that was deleted keeps nobody from protecting the rest after a boot', async () => {
  using image = new Image('ext4', 256);
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  for (const [index, name] of ['deleted', 'file'].entries())
    fs.writeFileSync(join(pair.source, name), bytes(index, 3 * MB));
  await pair.begin();
  const { ino } = fs.statSync(join(pair.target, 'deleted'));
  fs.rmSync(join(pair.target, 'deleted'));
  await pair.killAll();
  pair.playBoot();
  const made: number[] = [];
  try {
    for (let tries = 0; tries < 200 && !made.some((fd) => fs.fstatSync(fd).ino === ino); tries += 1)
      made.push(fs.openSync(join(pair.target, `other-${tries}`), 'w'));
    expect(made.map((fd) => fs.fstatSync(fd).ino)).toContain(ino);
    await armVolume(pair.stateDir);
    expect((await pair.status()).phase).toBe('armed');
  } finally {
    for (const fd of made) fs.closeSync(fd);
  }
});
