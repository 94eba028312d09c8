import { AT_FDCWD, bind, check, cstring, isErrno } from './libc.ts';
import { O_CLOEXEC } from './open.ts';

const init = bind('int fanotify_init(uint flags, uint event_f_flags)');
const mark = bind('int fanotify_mark(int fd, uint flags, uint64 mask, int dirfd, void *path)');
const read2 = bind('int64 read(int fd, void *buffer, size_t size)');
const write2 = bind('int64 write(int fd, void *buffer, size_t size)');

/** linux/fanotify.h. */
const FAN_CLOEXEC = 0x1;
const FAN_CLASS_PRE_CONTENT = 0x8;
const FAN_UNLIMITED_QUEUE = 0x10;
const FAN_UNLIMITED_MARKS = 0x20;
const FAN_REPORT_TID = 0x100;
const FAN_MARK_ADD = 0x1;
const FAN_MARK_REMOVE = 0x2;
const FAN_ALLOW = 1;
const FAN_DENY = 2;
const FAN_EVENT_INFO_TYPE_RANGE = 6;
const O_LARGEFILE = 0o100000;
const EIO = 5;

const FAN_OPEN_PERM = 0x1_0000;
const FAN_PRE_ACCESS = 0x10_0000;
const PLACEHOLDER_MASK = BigInt(FAN_PRE_ACCESS | FAN_OPEN_PERM);

/** Before the access: `fd` is the file, opened O_RDONLY; its number is also the event's name in the answer. */
export type ContentEvent = { mask: number; fd: number; tid: number; offset: number; length: number };

export function isOpening({ mask }: ContentEvent): boolean {
  return (mask & FAN_OPEN_PERM) !== 0;
}

/**
 * A group of the pre-content class, Linux 6.14. Its event descriptors are O_RDONLY: the kernel couldn't open others on a
 * read-only mount, and would refuse the reader instead.
 */
export function createContentGroup(): number {
  const flags = FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS | FAN_REPORT_TID;
  return check(init(flags, O_LARGEFILE | O_CLOEXEC), 'fanotify_init');
}

/** From now on every open of the inode of `fd` (O_PATH will do) and every access to its content waits for an answer. */
export function markInode(group: number, fd: number): void {
  const path = cstring(`/proc/self/fd/${fd}`);
  check(mark(group, FAN_MARK_ADD, PLACEHOLDER_MASK, AT_FDCWD, path), 'fanotify_mark', path);
}

/** Takes the mark away; one that isn't there is fine. Events that wait already still want their answer. */
export function unmarkInode(group: number, fd: number): void {
  const path = cstring(`/proc/self/fd/${fd}`);
  try {
    check(mark(group, FAN_MARK_REMOVE, PLACEHOLDER_MASK, AT_FDCWD, path), 'fanotify_mark', path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

/** Waits for events and returns the bytes that came; the thread sleeps in the kernel. */
export function readEvents(group: number, into: Buffer): number {
  return check(read2(group, into, into.length), 'read', 'fanotify group');
}

/** Takes the packed events of one read apart, struct fanotify_event_metadata and its information records. */
export function* parseEvents(bytes: Buffer): Generator<ContentEvent> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + bytes.readUInt32LE(at);
    const range = findRange(bytes, at + bytes.readUInt16LE(at + 6), end);
    yield {
      mask: bytes.readUInt32LE(at + 8),
      fd: bytes.readInt32LE(at + 16),
      tid: bytes.readInt32LE(at + 20),
      offset: range < 0 ? 0 : Number(bytes.readBigUInt64LE(range + 8)),
      length: range < 0 ? 0 : Number(bytes.readBigUInt64LE(range + 16)),
    };
    at = end;
  }
}

function findRange(bytes: Buffer, from: number, end: number): number {
  for (let at = from; at + 4 <= end; at += bytes.readUInt16LE(at + 2)) {
    if (bytes.readUInt8(at) === FAN_EVENT_INFO_TYPE_RANGE) return at;
    if (bytes.readUInt16LE(at + 2) === 0) break;
  }
  return -1;
}

const answer = Buffer.alloc(8);

/**
 * Lets the event with this number go on, or fails it with EIO. False if nothing waits under the number any more: the
 * process was killed, or the event was answered before.
 */
export function answerEvent(group: number, number: number, isAllowed: boolean): boolean {
  answer.writeInt32LE(number, 0);
  answer.writeUInt32LE(isAllowed ? FAN_ALLOW : FAN_DENY + EIO * 0x100_0000, 4);
  try {
    check(write2(group, answer, answer.length), 'write', 'fanotify group');
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
