import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { difference } from '../../../lab/image/difference.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'difference-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** A tree as a package leaves it: every file has the package's own time. */
function tree(name: string, files: Record<string, string>): string {
  const folder = join(root, name);
  mkdirSync(join(folder, 'etc'), { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    writeFileSync(join(folder, path), content);
    utimesSync(join(folder, path), 1_000_000, 1_000_000);
  }
  return folder;
}

test('files that are the same in both are left to the layer below', () => {
  const base = tree('base', { 'etc/same': 'x', 'etc/longer': 'x' });
  const over = tree('over', { 'etc/same': 'x', 'etc/longer': 'xy', 'etc/new': '' });
  expect(difference(base, over).sort()).toEqual(['etc/longer', 'etc/new']);
});

test('a new folder, a link elsewhere and another time of a file are differences', () => {
  const base = tree('base', { 'etc/touched': 'x' });
  const over = tree('over', { 'etc/touched': 'x' });
  symlinkSync('here', join(base, 'etc/link'));
  symlinkSync('there', join(over, 'etc/link'));
  mkdirSync(join(over, 'var'));
  utimesSync(join(over, 'etc/touched'), 2_000_000, 2_000_000);
  expect(difference(base, over).sort()).toEqual(['etc/link', 'etc/touched', 'var']);
});

test('what only the base has is no difference', () => {
  expect(difference(tree('base', { 'etc/gone': 'x' }), tree('over', {}))).toEqual([]);
});
