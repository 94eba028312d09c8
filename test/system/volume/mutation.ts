import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { PORTABLE_FLAGS, readFlags, writeFlags } from '../../../src/linux/inode-flags.ts';
import { AT_FDCWD, cstring } from '../../../src/linux/libc.ts';
import { makeNodeAt } from '../../../src/linux/nodes.ts';
import { punchHole, reserve } from '../../../src/linux/sparse.ts';
import { removeXattr, setXattr } from '../../../src/linux/xattr.ts';

/** One thing that a process does to a tree; what is impossible in the tree as it stands is passed over. */
export type Mutation =
  | { act: 'write'; path: string; size: number; fill: number }
  | { act: 'overwrite'; path: string; at: number; length: number; fill: number; keepsMtime: boolean }
  | { act: 'truncate'; path: string; size: number }
  | { act: 'punch' | 'allocate' | 'collapse'; path: string; at: number; length: number }
  | { act: 'flags'; path: string; flags: number }
  | { act: 'mkdir' | 'remove' | 'fifo'; path: string }
  | { act: 'rename' | 'swap' | 'link'; path: string; other: string }
  | { act: 'symlink'; path: string; target: string }
  | { act: 'chmod'; path: string; mode: number }
  | { act: 'chown'; path: string; uid: number }
  | { act: 'utimes'; path: string; seconds: number }
  | { act: 'setXattr' | 'removeXattr'; path: string; name: string; fill: number };

/** None, immutable, append-only, no dump and no access times. */
const flagSets = [0, 0, 0x10, 0x20, 0xc0] as const;

const name = fc.constantFrom('a', 'b', 'c', 'd');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const fill = fc.integer({ min: 1, max: 255 });
const offset = fc.integer({ min: 0, max: 200_000 });
const size = fc.oneof(fc.constantFrom(0, 1, 4096, 65536, 65537, 131072), fc.integer({ min: 0, max: 200_000 }));

export const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ act: fc.constant('write'), path, size, fill }) },
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant('overwrite'),
      path,
      at: offset,
      length: fc.integer({ min: 1, max: 5000 }),
      fill,
      keepsMtime: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('truncate'), path, size }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('punch'), path, at: offset, length: offset }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('allocate'), path, at: offset, length: offset }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('collapse'), path, at: offset, length: offset }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('flags'), path, flags: fc.constantFrom(...flagSets) }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('mkdir'), path }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('remove'), path }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('fifo'), path }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('rename'), path, other: path }) },
  { weight: 3, arbitrary: fc.record({ act: fc.constant('swap'), path, other: path }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('link'), path, other: path }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('symlink'), path, target: path }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('chmod'), path, mode: fc.integer({ min: 0, max: 0o7777 }) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('chown'), path, uid: fc.integer({ min: 0, max: 9 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ act: fc.constant('utimes'), path, seconds: fc.integer({ min: -9, max: 2_000_000_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('setXattr'), path, name, fill }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('removeXattr'), path, name, fill }) },
);

export function mutate(root: string, mutations: readonly Mutation[]): void {
  for (const one of mutations) {
    try {
      apply(root, one);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
    }
  }
}

function apply(root: string, m: Mutation): unknown {
  const full = join(root, m.path);
  switch (m.act) {
    case 'write':
      fs.mkdirSync(dirname(full), { recursive: true });
      // Opening a FIFO would wait for its reader for ever.
      if (!isFile(full, true)) fs.unlinkSync(full);
      return fs.writeFileSync(full, Buffer.alloc(m.size, m.fill));
    case 'overwrite':
      return overwrite(full, m.at, Buffer.alloc(m.length, m.fill), m.keepsMtime);
    case 'truncate':
      return isFile(full) ? fs.truncateSync(full, m.size) : undefined;
    case 'punch':
      return onFile(full, (fd) => m.length > 0 && punchHole(fd, m.at, m.length));
    case 'allocate':
      return onFile(full, (fd) => m.length > 0 && reserve(fd, m.at, m.length));
    case 'collapse':
      return collapse(full, m.at, m.length);
    case 'flags':
      return withFlags(full, m.flags);
    case 'mkdir':
      return fs.mkdirSync(full, { recursive: true });
    case 'remove':
      return fs.rmSync(full, { recursive: true, force: true });
    case 'fifo':
      return makeNodeAt(AT_FDCWD, cstring(full), 0o010644, 0, 0);
    case 'rename':
      return fs.renameSync(full, join(root, m.other));
    case 'swap':
      return swap(full, join(root, m.other), join(root, '.swap'));
    case 'link':
      return fs.linkSync(full, join(root, m.other));
    case 'symlink':
      return fs.symlinkSync(m.target, full);
    case 'chmod':
      return fs.lstatSync(full).isSymbolicLink() ? undefined : fs.chmodSync(full, m.mode);
    case 'chown':
      return fs.lchownSync(full, m.uid, m.uid);
    case 'utimes':
      return fs.lutimesSync(full, m.seconds, m.seconds);
    case 'setXattr':
      return setXattr(cstring(full), cstring(`trusted.${m.name}`), Buffer.alloc(m.fill % 20, m.fill));
    case 'removeXattr':
      return removeXattr(cstring(full), cstring(`trusted.${m.name}`));
  }
}

function overwrite(full: string, at: number, bytes: Buffer, keepsMtime: boolean): void {
  if (!isFile(full)) return;
  const fd = fs.openSync(full, 'r+');
  try {
    const { atime, mtime } = fs.fstatSync(fd);
    fs.writeSync(fd, bytes, 0, bytes.length, at);
    if (keepsMtime) fs.futimesSync(fd, atime, mtime);
  } finally {
    fs.closeSync(fd);
  }
}

function onFile(full: string, act: (fd: number) => void): void {
  if (!isFile(full)) return;
  const fd = fs.openSync(full, 'r+');
  try {
    act(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Takes whole blocks out of a file, as only some file systems can. */
function collapse(full: string, at: number, length: number): void {
  if (!isFile(full)) return;
  const [from, count] = [Math.floor(at / 4096) * 4096, Math.ceil(length / 4096) * 4096];
  if (count === 0 || from + count >= fs.lstatSync(full).size) return;
  execFileSync('fallocate', ['-c', '-o', String(from), '-l', String(count), full]);
}

function withFlags(full: string, flags: number): void {
  const stat = fs.lstatSync(full);
  if (!stat.isFile() && !stat.isDirectory()) return;
  const fd = fs.openSync(full, 'r');
  try {
    writeFlags(fd, (readFlags(fd) & ~PORTABLE_FLAGS) | flags);
  } finally {
    fs.closeSync(fd);
  }
}

function swap(left: string, right: string, aside: string): void {
  if (left === right || !fs.existsSync(left) || !fs.existsSync(right)) return;
  if (left.startsWith(`${right}/`) || right.startsWith(`${left}/`)) return;
  fs.renameSync(left, aside);
  fs.renameSync(right, left);
  fs.renameSync(aside, right);
}

function isFile(full: string, orMissing = false): boolean {
  return fs.lstatSync(full, { throwIfNoEntry: false })?.isFile() ?? orMissing;
}
