import { AT_FDCWD, bind, check, cstring, isErrno } from './libc.ts';

const init = bind('int fanotify_init(uint flags, uint event_f_flags)');
const mark = bind('int fanotify_mark(int fd, uint flags, uint64 mask, int dirfd, void *path)');
const read2 = bind('int64 read(int fd, void *buffer, size_t size)');
const poll2 = bind('int poll(void *fds, ulong count, int timeoutMs)');
const eventfd2 = bind('int eventfd(uint initial, int flags)');

/** linux/fanotify.h. */
const FAN_CLOEXEC = 0x1;
const FAN_NONBLOCK = 0x2;
const FAN_REPORT_FID = 0x200;
const FAN_MARK_ADD = 0x1;
const FAN_MARK_FILESYSTEM = 0x100;
const FAN_Q_OVERFLOW = 0x4000;
const FAN_ONDIR = 0x4000_0000;
const FAN_EVENT_INFO_TYPE_FID = 1;
const METADATA_BYTES = 24;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

export const FAN_MODIFY = 0x2;
export const FAN_ATTRIB = 0x4;
export const FAN_CLOSE_WRITE = 0x8;
export const FAN_MOVED_FROM = 0x40;
export const FAN_MOVED_TO = 0x80;
export const FAN_CREATE = 0x100;
export const FAN_DELETE = 0x200;
export const FAN_DELETE_SELF = 0x400;
export const FAN_MOVE_SELF = 0x800;

/** All that can change an inode's content, attributes or names. */
export const CHANGES =
  FAN_MODIFY |
  FAN_ATTRIB |
  FAN_CLOSE_WRITE |
  FAN_MOVED_FROM |
  FAN_MOVED_TO |
  FAN_CREATE |
  FAN_DELETE |
  FAN_DELETE_SELF |
  FAN_MOVE_SELF;

/**
 * A group that only listens (nobody ever waits for it), not blocking, of Linux 5.1 and later. With FAN_REPORT_FID alone
 * an event names one inode: the directory in which a name came or went, else the inode itself. The queue has the length
 * that the host allows (fs.fanotify.max_queued_events, 16,384 if nobody changed it), some 3 MiB of the kernel's memory;
 * what doesn't fit any more is lost, and the group is told that something was.
 */
export function createChangeGroup(): number {
  return check(init(FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_FID, 0), 'fanotify_init');
}

/** From now on the group hears of changes to all of the file system of `fd`. */
export function markFileSystem(group: number, fd: number, events = CHANGES): void {
  const path = cstring(`/proc/self/fd/${fd}`);
  const mask = BigInt(events) | BigInt(FAN_ONDIR);
  check(mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask, AT_FDCWD, path), 'fanotify_mark', path);
}

/** The bytes that came; 0 when there is nothing more. */
export function readChanges(group: number, into: Buffer): number {
  try {
    return check(read2(group, into, into.length), 'read', 'fanotify group');
  } catch (error) {
    if (isErrno(error, 'EAGAIN', 'EINTR')) return 0;
    throw error;
  }
}

/** How the file system's handles hold the number of their inode. */
export type HandleFormat = 'u32' | 'u64';

/** FILEID_INO32_GEN of linux/exportfs.h, that of XFS for large file systems, and that of Btrfs. */
const formats = new Map<number, HandleFormat>([
  [0x01, 'u32'],
  [0x81, 'u64'],
  [0x4d, 'u64'],
]);

/** What a struct file_handle says of its inode; null for kinds of handles that are not known here. */
export function inodeOfHandle(bytes: Buffer, at = 0): { low: number; high: number } | null {
  const format = formats.get(bytes.readInt32LE(at + 4));
  if (format === undefined || bytes.readUInt32LE(at) < (format === 'u32' ? 4 : 8)) return null;
  return { low: bytes.readUInt32LE(at + 8), high: format === 'u32' ? 0 : bytes.readUInt32LE(at + 12) };
}

/**
 * Calls back for the inode of each event in the bytes of one read.
 * @returns false if something was lost, or an inode can't be told: then nothing is known for certain
 */
export function forEachChange(bytes: Buffer, visit: (low: number, high: number) => void): boolean {
  let isWhole = true;
  for (let at = 0; at + METADATA_BYTES <= bytes.length; at += bytes.readUInt32LE(at)) {
    const mask = bytes.readUInt32LE(at + 8);
    const info = at + bytes.readUInt16LE(at + 6);
    const end = at + bytes.readUInt32LE(at);
    // Info record: u8 type, u8, u16 length, 8 bytes that name the file system, then the file handle.
    const hasInode = info + 20 <= end && bytes.readUInt8(info) === FAN_EVENT_INFO_TYPE_FID;
    const inode = hasInode ? inodeOfHandle(bytes, info + 12) : null;
    if ((mask & FAN_Q_OVERFLOW) !== 0 || inode === null) isWhole = false;
    else visit(inode.low, inode.high);
    if (end <= at) return false;
  }
  return isWhole;
}

/** A descriptor that wakes a thread in `waitForAny` when 8 bytes are written to it, not all of them zero. */
export function createWaker(): number {
  return check(eventfd2(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd');
}

const POLLIN = 1;

/** Sleeps in the kernel until one of the descriptors can be read from. */
export function waitForAny(fds: readonly number[]): void {
  const table = Buffer.alloc(8 * fds.length);
  for (const [index, fd] of fds.entries()) {
    table.writeInt32LE(fd, 8 * index);
    table.writeInt16LE(POLLIN, 8 * index + 4);
  }
  try {
    check(poll2(table, fds.length, -1), 'poll');
  } catch (error) {
    if (!isErrno(error, 'EINTR')) throw error;
  }
}
