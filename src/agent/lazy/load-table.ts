import { Stat } from '../../linux/stat.ts';
import { bitmapBytes } from './chunks.ts';
import { FileTable } from './file-table.ts';
import type { PlaceholderList } from './placeholders.ts';

/** The list in memory, as the threads use it; which chunks are here the journal adds. */
export function loadTable(list: PlaceholderList, rootFd: number): FileTable {
  let length = 0;
  for (let file = 0; file < list.count; file += 1) length += bitmapBytes(list.at(file).size);
  const { filesystemMajor: major, filesystemMinor: minor } = new Stat().readFd(rootFd);
  const table = FileTable.ofSize(list.count, length, { major, minor });
  for (let file = 0, start = 0; file < list.count; file += 1) {
    const { inode, size, isSparse } = list.at(file);
    table.set(file, { inode, size, isSparse, start });
    start += bitmapBytes(size);
  }
  return table;
}

/** Small files first, and of about the same size those that were changed last. */
export function copyOrder(list: PlaceholderList): Uint32Array {
  const keys = new Float64Array(list.count);
  const now = Date.now() / 1000;
  for (let file = 0; file < list.count; file += 1) {
    const { size, mtimeSeconds } = list.at(file);
    const age = Math.min(1, Math.max(0, now - mtimeSeconds) / 4e9);
    keys[file] = Math.floor(Math.log2(size + 1)) + age;
  }
  return Uint32Array.from(keys.keys()).sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0));
}
