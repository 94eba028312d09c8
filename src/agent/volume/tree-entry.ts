import { type CString, isErrno } from '../../linux/libc.ts';
import { close, O_NOATIME, O_NOFOLLOW, O_PATH, O_RDONLY, openAt, reopen } from '../../linux/open.ts';
import { S_IFREG, Stat } from '../../linux/stat.ts';
import type { RecordView } from './record.ts';

const stat = new Stat();

/**
 * Opens a regular file for reading if it still is the inode of the record; else null. What lies there is looked at
 * before it is opened for reading, so that a device or FIFO put in its place is never opened.
 */
export function openRecorded(dirfd: number, name: CString, record: RecordView): number | null {
  let handle: number;
  try {
    handle = openAt(dirfd, name, O_PATH | O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE')) return null;
    throw error;
  }
  try {
    stat.readFd(handle);
    const isSame = stat.inodeLow === record.inodeLow && stat.inodeHigh === record.inodeHigh;
    return stat.format === S_IFREG && isSame ? reopen(handle, O_RDONLY | O_NOATIME) : null;
  } finally {
    close(handle);
  }
}

/** A path for calls that take no directory descriptor: one component below proc(5)'s magic link, so it leads nowhere else. */
export function entryPath(dirfd: number, name: CString): CString {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${dirfd}/`), name]);
}
