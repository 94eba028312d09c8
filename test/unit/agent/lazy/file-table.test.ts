import { expect, test } from 'vitest';
import { FileTable } from '../../../../src/agent/lazy/file-table.ts';

const device = { major: 8, minor: 1 };
const entry = (inode: number, size = 1) => ({ inode, size, isSparse: false, start: 0 });

test('inode numbers and sizes of more than 32 bits are kept and told apart', () => {
  const table = FileTable.ofSize(4, 8, device);
  const inodes = [7, 7 + 2 ** 32, 7 + 2 ** 40, 2 ** 52 + 1];
  const sizes = [2 ** 32 - 1, 2 ** 32, 2 ** 44 + 5, 3];
  for (const [file, inode] of inodes.entries()) table.set(file, entry(inode, sizes[file]));
  expect(inodes.map((inode) => table.findInode(inode))).toEqual([0, 1, 2, 3]);
  expect(sizes.map((_, file) => table.size(file))).toEqual(sizes);
  expect(table.findInode(7 + 2 ** 33)).toBe(-1);
});

test('every one of many is found by both threads, and none that is not there', () => {
  const count = 5000;
  const table = FileTable.ofSize(count, count, device);
  for (let file = 0; file < count; file += 1) table.set(file, entry(12 + file * 3));
  const other = new FileTable(table.parts);
  for (let file = 0; file < count; file += 1) expect(other.findInode(12 + file * 3)).toBe(file);
  for (let inode = 13; inode < 1000; inode += 3) expect(other.findInode(inode)).toBe(-1);
});

test('a table of no files finds nothing', () => {
  expect(FileTable.ofSize(0, 0, device).findInode(1)).toBe(-1);
});

test('a file that is listed twice is refused', () => {
  const table = FileTable.ofSize(2, 8, device);
  table.set(0, entry(7));
  expect(() => table.set(1, entry(7))).toThrow(/lists a file twice/);
});
