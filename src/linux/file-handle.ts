import { AT_EMPTY_PATH, bind, check, emptyPath } from './libc.ts';
import { O_CLOEXEC } from './open.ts';

const nameToHandle = bind('int name_to_handle_at(int dirfd, void *path, void *handle, void *mountId, int flags)');
const openByHandle = bind('int open_by_handle_at(int mountFd, void *handle, int flags)');

/** MAX_HANDLE_SZ of linux/exportfs.h. */
const HANDLE_MAX_BYTES = 128;
/** In front of the handle's own bytes: their number (u32) and type (i32). */
const HEAD_BYTES = 8;

const room = Buffer.alloc(HEAD_BYTES + HANDLE_MAX_BYTES);
const mountId = Buffer.alloc(4);

/**
 * What names an inode for as long as it lives, over renames and reboots: inode number and generation, as struct
 * file_handle. ext4, XFS and Btrfs have such handles; where the file system has none EOPNOTSUPP is thrown.
 */
export function handleOf(fd: number): Buffer {
  room.writeUInt32LE(HANDLE_MAX_BYTES, 0);
  check(nameToHandle(fd, emptyPath, room, mountId, AT_EMPTY_PATH), 'name_to_handle_at', `fd ${fd}`);
  return Buffer.from(room.subarray(0, HEAD_BYTES + room.readUInt32LE(0)));
}

/**
 * Opens an inode by its handle; `mountFd` is any descriptor of its file system. ESTALE: the inode is gone for good. One
 * that has no name any more but is held open by somebody opens still.
 */
export function openHandle(mountFd: number, handle: Uint8Array, flags: number): number {
  return check(openByHandle(mountFd, handle, flags | O_CLOEXEC), 'open_by_handle_at');
}
