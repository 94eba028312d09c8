import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { armVolume, stageVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { rsyncDifferences } from '../volume/snapshot.ts';
import { Image } from './images.ts';
import { LazyPair } from './lazy-pair.ts';
import { bytes } from './trees.ts';

const FILES = 9000;
/** Some more than one batch of the list, and fewer than all. */
const CUT_AFTER_BYTES = 300_000;
const FILE_BYTES = 2000;

let image: Image;
beforeAll(() => {
  image = new Image('ext4', 1024);
});
afterAll(() => image[Symbol.dispose]());

/** Counts the connections that asked for the list, and ends the first one in the middle of the answer. */
function cutLink() {
  const cut = { times: 0 };
  const sockets = new Set<Socket>();
  const link = (from: string, to: string): AsyncDisposable => {
    const server = createServer((near) => {
      const far = connect(to);
      let isForRanges = false;
      let passed = 0;
      for (const socket of [near, far]) sockets.add(socket.on('error', () => {}));
      near.on('close', () => far.destroy()).on('end', () => far.end());
      far.on('close', () => near.destroy()).on('end', () => near.end());
      near.on('data', (piece: Buffer) => {
        isForRanges ||= piece.includes('ranges');
        far.write(piece);
      });
      far.on('data', (piece: Buffer) => {
        passed += piece.length;
        if (isForRanges && passed > CUT_AFTER_BYTES && cut.times === 0) {
          cut.times += 1;
          near.end(piece.subarray(0, piece.length / 2));
          far.destroy();
        } else {
          near.write(piece);
        }
      });
    }).listen(from);
    return {
      [Symbol.asyncDispose]: async () => {
        for (const socket of sockets) socket.destroy();
        server.close();
      },
    };
  };
  return { cut, link };
}

test('a list of files that is cut off is gone on with where it ended: each file is laid out once', async () => {
  const { cut, link } = cutLink();
  await using pair = new LazyPair(image.path, { contentLimit: 1000, slowLink: link });
  fillTree(pair.source);
  await pair.serve();
  expect(await pair.stage()).toBe(FILES);
  expect(cut.times, 'the link was cut while files were listed').toBe(1);
  await armVolume(pair.stateDir);
  await pair.finish();
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

test('what keeps a file from being laid out is told at once', async () => {
  await using pair = new LazyPair(image.path);
  fs.writeFileSync(join(pair.source, 'file'), bytes(1, 100_000));
  await pair.serve();
  await pair.stage();
  const file = join(pair.target, 'file');
  execFileSync('chattr', ['+i', file]);
  try {
    const { target: path, stateDir, address: source } = pair;
    const signal = AbortSignal.timeout(10_000);
    const staging = stageVolume({ path, stateDir, source, bwlimit: null, waitLimitMs: null, signal });
    await expect(staging).rejects.toMatchObject({ code: 'BLOCKED', message: expect.stringContaining('chattr') });
  } finally {
    execFileSync('chattr', ['-i', file]);
  }
});

function fillTree(root: string): void {
  for (let index = 0; index < FILES; index += 1) {
    const directory = join(root, `directory-${index % 10}`);
    fs.mkdirSync(directory, { recursive: true });
    fs.writeFileSync(join(directory, `a-file-of-this-tree-with-number-${index}`), bytes(index, FILE_BYTES));
  }
}
