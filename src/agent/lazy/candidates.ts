import { closeSync, openSync, readSync } from 'node:fs';
import { type BlockedCall, readBlockedCall } from '../../linux/blocked-call.ts';
import { type ContentEvent, isOpening } from '../../linux/fanotify.ts';
import { AT_FDCWD, cstring } from '../../linux/libc.ts';
import { close, O_PATH, openAt, openInRoot } from '../../linux/open.ts';
import { Stat } from '../../linux/stat.ts';
import { calls, isKnownAbi, readCalls, writeCalls } from './calls.ts';
import type { FileTable } from './file-table.ts';

const PATH_MAX = 4096;
const PAGE = 4096;
const SLASH = 0x2f;

/** Calls whose files are among their arguments, as descriptors. */
const byDescriptor = new Set<number>([...readCalls, ...writeCalls, calls.fallocate, calls.ftruncate, calls.mmap]);
/** Which argument is the path, and which the directory that it begins in, if it need not be the current one. */
const byPath = new Map<number, { path: number; directory?: number }>([
  [calls.open, { path: 0 }],
  [calls.creat, { path: 0 }],
  [calls.truncate, { path: 0 }],
  [calls.execve, { path: 0 }],
  [calls.openat, { path: 1, directory: 0 }],
  [calls.openat2, { path: 1, directory: 0 }],
  [calls.execveat, { path: 1, directory: 0 }],
]);

/**
 * The placeholders of which one is what an event is about, when its hydrator was lost before it could look: by the call in which
 * the thread waits. None: that can't be told; null: the thread is not asleep yet, ask again.
 */
export function candidatesOf(event: ContentEvent, table: FileTable): number[] | null {
  const call = readBlockedCall(event.tid);
  if (call === 'running') return null;
  if (call === null || !isKnownAbi(call)) return [];
  const files = namedBy(call, event).map((path) => fileAt(path, table));
  // A program that is here waits for what it brings along: its interpreter, its loader.
  const isExec = call.number === calls.execve || call.number === calls.execveat;
  return files.filter((file) => file >= 0 && !(isExec && table.isHere(file)));
}

type Opener = () => number;

function namedBy(call: BlockedCall, event: ContentEvent): Opener[] {
  const { tid } = event;
  const where = byPath.get(call.number);
  if (where !== undefined) return [() => openPath(tid, call, where)];
  if (isOpening(event) || !byDescriptor.has(call.number)) return [];
  return call.args.map((fd) => () => openLink(tid, `fd/${fd}`));
}

/** -1 for what is no placeholder, and for what can't be looked at. */
function fileAt(open: Opener, table: FileTable): number {
  try {
    const fd = open();
    try {
      return table.find(new Stat().readFd(fd));
    } finally {
      close(fd);
    }
  } catch {
    return -1;
  }
}

/** As the thread would open it: in its own root, from its own directory. */
function openPath(tid: number, { args }: BlockedCall, where: { path: number; directory?: number }): number {
  const path = readText(tid, args[where.path] ?? 0);
  const start = where.directory === undefined ? AT_FDCWD : (args[where.directory] ?? 0);
  // AT_FDCWD comes as 32 or as 64 bits.
  const isCurrent = start > Number.MAX_SAFE_INTEGER || (start | 0) === AT_FDCWD;
  const isAbsolute = path[0] === SLASH;
  const directory = openLink(tid, isAbsolute ? 'root' : isCurrent ? 'cwd' : `fd/${start}`);
  try {
    // An empty path stands for the descriptor itself.
    if (path.length === 0) return openLink(tid, `fd/${start}`);
    return isAbsolute ? openInRoot(directory, cstring(path), O_PATH) : openAt(directory, cstring(path), O_PATH);
  } finally {
    close(directory);
  }
}

function openLink(tid: number, link: string): number {
  return openAt(AT_FDCWD, cstring(`/proc/${tid}/${link}`), O_PATH);
}

/** The bytes in a thread's memory up to the first 0. */
function readText(tid: number, address: number): Buffer {
  const bytes = Buffer.alloc(PATH_MAX);
  const memory = openSync(`/proc/${tid}/mem`, 'r');
  try {
    for (let length = 0; length < PATH_MAX; ) {
      // The next page may not be there.
      const step = Math.min(PAGE - ((address + length) % PAGE), PATH_MAX - length);
      const got = readSync(memory, bytes, length, step, address + length);
      const end = bytes.indexOf(0, length);
      if (end < length + got) return bytes.subarray(0, end);
      length += step;
    }
  } finally {
    closeSync(memory);
  }
  throw new Error('a path without an end');
}
