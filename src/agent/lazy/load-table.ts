import { Stat } from '../../linux/stat.ts';
import { bitmapBytes } from './chunks.ts';
import { FileTable } from './file-table.ts';
import type { PlaceholderList } from './placeholders.ts';

/** Steps of an age in the order of the copy: so many to a doubling. */
const STEPS_A_DOUBLING = 8;
const AGES = 32 * STEPS_A_DOUBLING;
const SIZES = 64;
/** Changed that shortly before the last change of all, and not larger: logs, journals and what else a database reads as it starts. */
const FRESH_SECONDS = 60;
const FRESH_MAX_BYTES = 128 * 1024 * 1024;

/** `files`: their numbers, the first `fresh` of which will be read as soon as the container starts. */
export type CopyOrder = { files: Uint32Array; fresh: number };

/** The list in memory, as the threads use it; which chunks are here the journal adds. */
export function loadTable(list: PlaceholderList, rootFd: number): FileTable {
  let length = 0;
  for (const { size } of list.all()) length += bitmapBytes(size);
  const { filesystemMajor: major, filesystemMinor: minor } = new Stat().readFd(rootFd);
  const table = FileTable.ofSize(list.count, length, { major, minor });
  let [file, start] = [0, 0];
  for (const { inode, size, isSparse } of list.all()) {
    table.set(file, { inode, size, isSparse, start });
    file += 1;
    start += bitmapBytes(size);
  }
  return table;
}

/**
 * What was in use when the container stopped comes first. Small files before large ones, and of about the same size those that
 * were changed last; then as listed, which is how they lie on the disk. Sorted by counting: to compare a million files takes 40 MB for a moment, and the process keeps those.
 */
export function copyOrder(list: PlaceholderList): CopyOrder {
  const keys = new Uint16Array(list.count);
  const places = new Uint32Array(2 * SIZES * AGES + 1);
  const now = Date.now() / 1000;
  let newest = 0;
  for (const { mtimeSeconds } of list.all()) newest = Math.max(newest, Math.min(mtimeSeconds, now));
  let file = 0;
  for (const { size, mtimeSeconds } of list.all()) {
    const age = Math.floor(Math.log2(1 + Math.max(0, now - mtimeSeconds)) * STEPS_A_DOUBLING);
    const isFresh = mtimeSeconds >= newest - FRESH_SECONDS && size <= FRESH_MAX_BYTES;
    const sizeClass = Math.floor(Math.log2(size + 1)) + (isFresh ? 0 : SIZES);
    const key = sizeClass * AGES + Math.min(AGES - 1, age);
    keys[file] = key;
    places[key + 1] = (places[key + 1] ?? 0) + 1;
    file += 1;
  }
  for (let key = 1; key < places.length; key += 1) places[key] = (places[key] ?? 0) + (places[key - 1] ?? 0);
  const fresh = places[SIZES * AGES] ?? 0;
  const files = new Uint32Array(list.count);
  for (let index = 0; index < keys.length; index += 1) {
    const key = keys[index] ?? 0;
    const place = places[key] ?? 0;
    files[place] = index;
    places[key] = place + 1;
  }
  return { files, fresh };
}
