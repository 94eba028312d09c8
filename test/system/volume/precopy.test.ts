import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TreePair } from './rounds.ts';

const LIMIT = 65_536;
const HOUR_MS = 3_600_000;

test('what was copied before the stop and is the same then need not follow; what has changed since does, whole', async () => {
  using pair = new TreePair();
  const write = (name: string, byte: number): void =>
    fs.writeFileSync(join(pair.source, name), Buffer.alloc(200_000, byte));
  for (const name of ['cold', 'warm']) write(name, 1);
  fs.writeFileSync(join(pair.source, 'small'), 'small');
  await pair.round({ contentLimit: LIMIT, wholeMs: HOUR_MS });
  for (const name of ['cold', 'warm', 'small']) expect(sameContent(pair, name), name).toBe(true);
  expect(pair.following()).toEqual([]);

  write('warm', 2);
  write('late', 3);
  fs.writeFileSync(join(pair.source, 'small'), 'other');
  await pair.round({ contentLimit: LIMIT, final: true });
  expect(pair.following()).toEqual(['late', 'warm']);
  for (const name of ['cold', 'small']) expect(sameContent(pair, name), name).toBe(true);
  for (const name of ['late', 'warm']) {
    expect(fs.statSync(join(pair.target, name)), name).toMatchObject({ size: 200_000, blocks: 0 });
  }
});

test('without time for it, every large file follows', async () => {
  using pair = new TreePair();
  fs.writeFileSync(join(pair.source, 'cold'), Buffer.alloc(200_000, 1));
  await pair.round({ contentLimit: LIMIT });
  await pair.round({ contentLimit: LIMIT, final: true });
  expect(pair.following()).toEqual(['cold']);
});

test('when the time is over what has not been begun follows', async () => {
  using pair = new TreePair();
  const names = Array.from({ length: 24 }, (_, index) => `file-${index}`);
  for (const [index, name] of names.entries()) {
    fs.writeFileSync(join(pair.source, name), Buffer.alloc(1 << 20, index + 1));
  }
  await pair.round({ contentLimit: LIMIT, wholeMs: 1000, bwlimit: 4 << 20 });
  const following = pair.following();
  expect(following.length).toBeGreaterThan(0);
  expect(following.length).toBeLessThan(names.length);
  for (const name of names) expect(sameContent(pair, name), name).toBe(!following.includes(name));
});

const MiB = 2 ** 20;

test('what was changed last travels in any case, as much as there is room for, and small files before large ones', async () => {
  using pair = new TreePair();
  const files = {
    'large-old': { size: 6 * MiB, minutesAgo: 60 },
    'large-new': { size: 4 * MiB, minutesAgo: 1 },
    'small-old': { size: MiB, minutesAgo: 9_000 },
    'small-older': { size: MiB, minutesAgo: 10_000 },
    'small-oldest': { size: MiB, minutesAgo: 11_000 },
    huge: { size: 129 * MiB, minutesAgo: 0 },
  };
  for (const [name, { size, minutesAgo }] of Object.entries(files)) {
    const path = join(pair.source, name);
    fs.writeFileSync(path, Buffer.alloc(MiB, 1));
    fs.truncateSync(path, size);
    const changedAt = Date.now() / 1000 - minutesAgo * 60;
    fs.utimesSync(path, changedAt, changedAt);
  }
  await pair.round({ contentLimit: LIMIT, freshBytes: 6 * MiB - 1 });
  expect(
    pair.following(),
    'half of the room is enough for two small ones, and what is left for none that is large',
  ).toEqual(['huge', 'large-new', 'large-old', 'small-oldest']);
  await pair.round({ contentLimit: LIMIT, freshBytes: 7 * MiB });
  expect(pair.following(), 'what is there already takes its room').toEqual(['huge', 'large-old']);
});

test('in the final round of what is there already the changed blocks travel, of the rest nothing', async () => {
  using pair = new TreePair();
  const write = (name: string, byte: number): void =>
    fs.writeFileSync(join(pair.source, name), Buffer.alloc(8 * MiB, byte));
  for (const name of ['log', 'table', 'left']) write(name, 1);
  fs.utimesSync(join(pair.source, 'left'), 1, 1);
  await pair.round({ contentLimit: LIMIT, freshBytes: 16 * MiB });
  expect(pair.following()).toEqual(['left']);

  for (const name of ['log', 'table', 'left']) {
    const fd = fs.openSync(join(pair.source, name), 'r+');
    fs.writeSync(fd, Buffer.alloc(4096, 2), 0, 4096, 3 * MiB);
    fs.closeSync(fd);
  }
  write('late', 3);
  const final = await pair.round({ contentLimit: LIMIT, freshBytes: 8 * MiB, final: true });
  expect(pair.following(), 'one of the two has room').toHaveLength(3);
  expect(pair.following()).toEqual(expect.arrayContaining(['late', 'left']));
  expect(final.bytes).toBeLessThan(MiB);
  const whole = pair.following().includes('log') ? 'table' : 'log';
  expect(sameContent(pair, whole)).toBe(true);
  for (const name of pair.following()) {
    expect(fs.statSync(join(pair.target, name)), name).toMatchObject({ size: 8 * MiB, blocks: 0 });
  }
});

function sameContent(pair: TreePair, name: string): boolean {
  return fs.readFileSync(join(pair.source, name)).equals(fs.readFileSync(join(pair.target, name)));
}
