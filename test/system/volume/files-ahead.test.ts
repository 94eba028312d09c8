import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TreePair } from './rounds.ts';
import { rsyncDifferences } from './snapshot.ts';

const FILES = 200;

/** Small ones, of which many are open at once, with some in between that are not opened ahead. */
function build(root: string): void {
  for (let index = 0; index < FILES; index += 1) {
    const path = join(root, `${index}`);
    if (index % 7 === 0) fs.mkdirSync(path);
    else if (index % 7 === 6) fs.linkSync(join(root, `${index - 1}`), path);
    else fs.writeFileSync(path, randomBytes(index % 13 === 0 ? 300_000 : index % 5 === 0 ? 0 : 5000));
  }
}

function openBelow(root: string): string[] {
  const paths = fs.readdirSync('/proc/self/fd').map((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return paths.filter((path) => path.startsWith(`${root}/`));
}

test('files that are open before their turn are sent in full, and none stays open', async () => {
  using pair = new TreePair('/dev/shm');
  build(pair.source);
  await pair.round();
  expect(openBelow(pair.source)).toEqual([]);
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
  for (let index = 1; index < FILES; index += 3) fs.rmSync(join(pair.source, `${index}`), { recursive: true });
  for (let index = 2; index < FILES; index += 3) {
    const path = join(pair.source, `${index}`);
    if (fs.existsSync(path) && fs.statSync(path).isFile()) fs.appendFileSync(path, 'more');
  }
  await pair.round({ final: true });
  expect(openBelow(pair.source)).toEqual([]);
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

test('a round that breaks off leaves none of them open', async () => {
  using pair = new TreePair('/dev/shm');
  build(pair.source);
  let passed = 0;
  let wereOpen = 0;
  const onTheWay = (bytes: Buffer): Buffer => {
    passed += bytes.length;
    wereOpen = Math.max(wereOpen, openBelow(pair.source).length);
    if (passed > 200_000) bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
    return bytes;
  };
  const [sent, received] = await pair.attempt({ onTheWay, bwlimit: 1_000_000 });
  expect([sent.status, received.status]).toEqual(['rejected', 'rejected']);
  expect(wereOpen).toBeGreaterThan(1);
  await expect.poll(() => openBelow(pair.source)).toEqual([]);
});
