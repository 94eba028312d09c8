import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createCgroup, foldersOf, removeCgroup } from '../../../lab/cgroup.ts';
import { controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { Image } from './images.ts';
import { LazyPair } from './lazy-pair.ts';
import { type Patch, patched } from './patches.ts';
import { bytes } from './trees.ts';

const MB = 2 ** 20;
const BACKUPS = 5;
const READS = 6;
/** Of the link to the source, in each direction and for each connection. */
const BYTES_PER_SECOND = 12 * MB;
/** What the source may send while a container reads: some three requests' worth at each of its reads. */
const FAIR = READS * 3 * MB + 2 * MB;
const container = `cargo-fair-${process.pid}-${'c0ffee'.repeat(11).slice(0, 64)}`;
let image: Image;
beforeAll(() => {
  image = new Image('ext4', 1024);
  createCgroup(container);
});
afterAll(async () => {
  await removeCgroup(container);
  image[Symbol.dispose]();
});

/** A link to the source that is no faster than BYTES_PER_SECOND. */
function slowLink(from: string, to: string): AsyncDisposable {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(to);
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
      one.on('data', async (piece: Buffer) => {
        one.pause();
        other.write(piece);
        await delay((piece.length / BYTES_PER_SECOND) * 1000);
        one.resume();
      });
    }
  }).listen(from);
  return {
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Reads pieces of a file one after the other, in a container's cgroup. */
function readInContainer(path: string): ChildProcess {
  const script =
    'import os,sys; f=os.open(sys.argv[1],0)\nfor i in range(int(sys.argv[2])): os.pread(f,4096,(7*i+3)*262144%os.fstat(f).st_size)';
  const enter = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"';
  const command = ['python3', '-c', script, path, String(READS)];
  return spawn('sh', ['-c', enter, 'sh', ...foldersOf(container), '--', ...command], { stdio: 'inherit' });
}

/** Bytes that came from the source while a container read a little, and the host's backups read all they could. */
async function sentMeanwhile(): Promise<number> {
  await using pair = new LazyPair(image.path, { bwlimit: 1, slowLink });
  using stack = new DisposableStack();
  fs.writeFileSync(join(pair.source, 'smallest'), bytes(1, 70_000));
  fs.writeFileSync(join(pair.source, 'database'), bytes(2, 16 * MB));
  for (let index = 0; index < BACKUPS; index += 1) fs.writeFileSync(join(pair.source, `${index}`), bytes(3, 24 * MB));
  await pair.begin();
  await controlVolume(pair.stateDir, { do: 'pause' });
  for (let index = 0; index < BACKUPS; index += 1) {
    // A name for which the engine brings the whole file when it is opened, as it does for `tar`.
    stack.adopt(spawn('cp', [join(pair.target, `${index}`), '/dev/null']), (child) => child.kill('SIGKILL'));
  }
  await vi.waitUntil(async () => (await pair.status()).waiting === BACKUPS, { timeout: 60_000, interval: 50 });
  const before = (await pair.status()).bytesFetched;
  const [code] = await once(readInContainer(join(pair.target, 'database')), 'exit');
  expect(code).toBe(0);
  return (await pair.status()).bytesFetched - before;
}

test('a container that reads waits for little of what the host’s backups read at the same time', async () => {
  expect(await sentMeanwhile()).toBeLessThan(FAIR);
});

const alike: Patch = {
  module: 'turns.ts',
  from: 'const CONTAINER_ID = /[0-9a-f]{64}/;',
  to: 'const CONTAINER_ID = /^$/;',
};
const unlimited: Patch = { module: 'turns.ts', from: 'others: 2 * MB', to: 'others: 1000 * MB' };

test('control: as one of many, and in no order, it waits for much more', async () => {
  for (const [name, value] of Object.entries(patched(alike, unlimited))) vi.stubEnv(name, value);
  try {
    expect(await sentMeanwhile()).toBeGreaterThan(FAIR);
  } finally {
    vi.unstubAllEnvs();
  }
});
