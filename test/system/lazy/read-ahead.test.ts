import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Image } from './images.ts';
import { LazyPair } from './lazy-pair.ts';
import { bytes } from './trees.ts';

const PAGE = 16_384;
const PAGES = 512;
const content = bytes(7, PAGES * PAGE);
let image: Image;
beforeAll(() => {
  image = new Image('ext4', 512);
});
afterAll(() => image[Symbol.dispose]());

/** Reads these pages of a file while the copy rests; returns them, how often the reader waited, and how much came. */
async function readPages(pages: readonly number[]): Promise<{ read: Buffer; waits: number; bytesFetched: number }> {
  await using pair = new LazyPair(image.path, { restForMs: 600_000 });
  fs.writeFileSync(join(pair.source, 'table'), content);
  await pair.begin();
  const script =
    'import os,sys\nf = os.open(sys.argv[1], 0)\nfor page in sys.stdin.read().split(): sys.stdout.buffer.write(os.pread(f, 16384, int(page) * 16384))';
  const options = { input: pages.join(' '), maxBuffer: 2 * content.length };
  const read = execFileSync('python3', ['-c', script, join(pair.target, 'table')], options);
  const { waits, bytesFetched } = await pair.status();
  return { read, waits, bytesFetched };
}

test('who reads page by page, and leaves some out, waits once for many while the copy rests', async () => {
  const pages = Array.from({ length: PAGES }, (_, page) => page).filter((page) => page % 5 !== 3);
  const { read, waits } = await readPages(pages);
  expect(read).toEqual(Buffer.concat(pages.map((page) => content.subarray(page * PAGE, (page + 1) * PAGE))));
  expect(waits).toBeGreaterThan(0);
  expect(waits).toBeLessThan(pages.length / 8);
});

test('who reads here and there gets what he asks for while the copy rests, and no more', async () => {
  const pages = Array.from({ length: 40 }, (_, read) => (read * 211) % PAGES);
  const { read, waits, bytesFetched } = await readPages(pages);
  expect(read).toEqual(Buffer.concat(pages.map((page) => content.subarray(page * PAGE, (page + 1) * PAGE))));
  expect(waits).toBe(pages.length);
  expect(bytesFetched).toBe(pages.length * PAGE);
});
