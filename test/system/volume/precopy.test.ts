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

function sameContent(pair: TreePair, name: string): boolean {
  return fs.readFileSync(join(pair.source, name)).equals(fs.readFileSync(join(pair.target, name)));
}
