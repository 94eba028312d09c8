import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { unwrittenRanges } from '../../../src/linux/extents.ts';
import { PORTABLE_FLAGS, readFlags } from '../../../src/linux/inode-flags.ts';
import { getXattr, listXattrs } from '../../../src/linux/xattr.ts';

/**
 * All that can be seen of a tree, one line an entry: what rsync compares, and what it doesn't (nanoseconds, attributes of
 * symlinks, allocation, paths beyond PATH_MAX). Directories are entered by descriptor, so depth doesn't matter.
 */
export function snapshot(root: string): string[] {
  const lines: string[] = [];
  const groups = new Map<bigint, string>();
  const visit = (dirfd: number, path: string): void => {
    const here = `/proc/self/fd/${dirfd}`;
    for (const name of fs.readdirSync(here, { encoding: 'buffer' }).sort(Buffer.compare)) {
      const full = Buffer.concat([Buffer.from(`${here}/`), name]);
      const shown = `${path}/${name.toString('latin1')}`;
      const stat = fs.lstatSync(full, { bigint: true });
      lines.push(describe(full, shown, stat, groups));
      if (!stat.isDirectory()) continue;
      const fd = fs.openSync(full, fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW);
      try {
        visit(fd, shown);
      } finally {
        fs.closeSync(fd);
      }
    }
  };
  const fd = fs.openSync(root, fs.constants.O_DIRECTORY);
  try {
    lines.push(describe(Buffer.from(`/proc/self/fd/${fd}/.`), '.', fs.fstatSync(fd, { bigint: true }), groups));
    visit(fd, '');
  } finally {
    fs.closeSync(fd);
  }
  return lines;
}

/** A file that was punched and filled may need a block more for its list of extents. */
export function withoutBlocks(lines: string[]): string[] {
  return lines.map((line) => line.replace(/blocks \d+/, ''));
}

function describe(full: Buffer, shown: string, stat: fs.BigIntStats, groups: Map<bigint, string>): string {
  const parts = [
    JSON.stringify(shown),
    `mode ${stat.mode.toString(8)}`,
    `owner ${stat.uid}:${stat.gid}`,
    `mtime ${stat.mtimeNs}`,
    `xattrs ${attributes(full)}`,
  ];
  if (stat.isCharacterDevice() || stat.isBlockDevice()) parts.push(`device ${stat.rdev}`);
  if (stat.isSymbolicLink()) parts.push(`to ${JSON.stringify(fs.readlinkSync(full, 'latin1'))}`);
  if (!stat.isDirectory()) {
    const first = groups.get(stat.ino) ?? shown;
    groups.set(stat.ino, first);
    parts.push(`links ${stat.nlink} with ${JSON.stringify(first)}`);
  }
  if (stat.isFile()) parts.push(`size ${stat.size}`, `blocks ${stat.blocks}`, `content ${contentOf(full, stat)}`);
  if (stat.isFile() || stat.isDirectory()) parts.push(...roomAndFlags(full, stat));
  return parts.join(' | ');
}

function roomAndFlags(full: Buffer, stat: fs.BigIntStats): string[] {
  const fd = fs.openSync(full, fs.constants.O_RDONLY | fs.constants.O_NOATIME);
  try {
    const flags = `flags ${(readFlags(fd) & PORTABLE_FLAGS).toString(16)}`;
    return stat.isFile() ? [flags, `reserved ${JSON.stringify(unwrittenRanges(fd))}`] : [flags];
  } finally {
    fs.closeSync(fd);
  }
}

function attributes(full: Buffer): string {
  const path = Buffer.concat([full, Buffer.from([0])]);
  const list = Buffer.alloc(65536);
  const names = list.subarray(0, listXattrs(path, list)).toString('latin1').split('\0').filter(Boolean).sort();
  const value = Buffer.alloc(65536);
  return names
    .map((name) => {
      const length = getXattr(path, Buffer.from(`${name}\0`, 'latin1'), value);
      return `${name}=${value.subarray(0, length).toString('hex')}`;
    })
    .join(',');
}

/** Of a huge sparse file only the part that is allocated would be worth reading; a few reads stand for it. */
function contentOf(full: Buffer, stat: fs.BigIntStats): string {
  const hash = createHash('sha256');
  const fd = fs.openSync(full, fs.constants.O_RDONLY | fs.constants.O_NOATIME);
  try {
    const size = Number(stat.size);
    if (size > 1 << 30) {
      const piece = Buffer.alloc(65536);
      for (const at of [0, (3 << 29) * 2, size - piece.length])
        hash.update(piece.subarray(0, fs.readSync(fd, piece, 0, piece.length, at)));
    } else {
      hash.update(fs.readFileSync(fd));
    }
    return hash.digest('hex').slice(0, 32);
  } finally {
    fs.closeSync(fd);
  }
}

/** What rsync would still copy, change or delete: nothing if it holds the trees equal. */
export function rsyncDifferences(source: string, target: string): string {
  const run = spawnSync('rsync', ['-aHAXnic', '--numeric-ids', '--delete', `${source}/`, `${target}/`]);
  if (run.status !== 0) throw new Error(`rsync failed: ${run.stderr}`);
  return run.stdout.toString('latin1');
}

/** One of everything; `huge` adds a sparse file that rsync would read for half a minute. */
export function buildAdversarialTree(root: string, ...extras: 'huge'[]): void {
  execFileSync('python3', [new URL('./build_tree.py', import.meta.url).pathname, root, ...extras]);
}
