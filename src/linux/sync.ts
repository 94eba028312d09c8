import { bind, bindInBackground, check } from './libc.ts';

const syncfs2 = bind('int syncfs(int fd)');
const syncFileRange = bind('int sync_file_range(int fd, int64 offset, int64 nbytes, uint flags)');

const START_WRITE = 2;
const WAIT_BEFORE_WRITE_WAIT_AFTER = 7;

/** syncfs(2): everything written to the file system of `fd` is durable on return. */
export function syncFilesystem(fd: number): void {
  check(syncfs2(fd), 'syncfs', `fd ${fd}`);
}

const syncfsInBackground = bindInBackground('int syncfs(int fd)');

/** The same without holding up this thread. @throws Error when something could not be written */
export async function syncFilesystemInBackground(fd: number): Promise<void> {
  if ((await syncfsInBackground(fd)) < 0) throw new Error('the file system could not write everything (syncfs)');
}

/**
 * Writes a file's dirty pages out, without the journal commit of fsync: afterwards each page is write-protected, so the
 * next store through any mapping faults and moves the file's ctime. With all three flags sync_file_range(2) waits for
 * pages under write-back and takes every dirty one (WB_SYNC_ALL, fs/sync.c).
 */
export function writeBack(fd: number): void {
  check(syncFileRange(fd, 0, 0, WAIT_BEFORE_WRITE_WAIT_AFTER), 'sync_file_range', `fd ${fd}`);
}

/** Has the kernel begin to write a range of a file to disk, and waits for nothing. */
export function startWriteBack(fd: number, offset: number, length: number): void {
  check(syncFileRange(fd, offset, length, START_WRITE), 'sync_file_range', `fd ${fd}`);
}
