import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TreePair } from './rounds.ts';
import { snapshot } from './snapshot.ts';

class Mount implements Disposable {
  readonly #path: string;

  constructor(path: string, ...args: string[]) {
    execFileSync('mount', [...args, path]);
    this.#path = path;
  }

  resize(size: string): void {
    execFileSync('mount', ['-o', `remount,size=${size}`, this.#path]);
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.#path]);
  }
}

test('a full target disk is told as such on both sides, and after more room the rest arrives', async () => {
  using pair = new TreePair();
  using disk = new Mount(pair.target, '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs');
  for (const name of ['a', 'b', 'c', 'd']) fs.writeFileSync(join(pair.source, name), randomBytes(4 << 20));
  for (const side of await pair.attempt()) {
    expect(side).toMatchObject({ status: 'rejected', reason: { code: 'DISK_FULL' } });
    expect(String(side.status === 'rejected' && side.reason.message)).toMatch(/target's disk is full: .*\/c\)/);
  }
  disk.resize('64m');
  const stats = await pair.round({ final: true });
  expect(stats.bytes).toBeLessThan(10 << 20);
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test('where the target is a mount point itself, names are swapped all the same', async () => {
  using pair = new TreePair();
  using _ = new Mount(pair.target, '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs');
  const at = (name: string): string => join(pair.source, name);
  fs.mkdirSync(at('d1/in'), { recursive: true });
  fs.mkdirSync(at('d2'));
  fs.writeFileSync(at('d1/in/file'), randomBytes(1 << 20));
  fs.writeFileSync(at('d2/file'), 'x');
  await pair.round();
  fs.renameSync(at('d1'), at('d3'));
  fs.renameSync(at('d2'), at('d1'));
  fs.renameSync(at('d3/in'), at('d1/in'));
  fs.linkSync(at('d1/in/file'), at('hard'));
  expect(await pair.round()).toMatchObject({ bytes: 0 });
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test.for([
  ['a tmpfs', ['-t', 'tmpfs', 'tmpfs']],
  ['a bind mount of the same file system', ['--bind', '/usr/share/doc']],
] as const)('%s below the root is not copied but named', async ([, args]) => {
  using pair = new TreePair();
  const place = join(pair.source, 'some/where');
  fs.mkdirSync(place, { recursive: true });
  using _ = new Mount(place, ...args);
  for (const side of await pair.attempt()) {
    expect(side).toMatchObject({ status: 'rejected', reason: { code: 'BLOCKED' } });
    expect(String(side.status === 'rejected' && side.reason.message)).toContain(`mounted at ${place}`);
  }
});
