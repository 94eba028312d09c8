import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, bind, type CString, check, emptyPath } from './libc.ts';

const statx = bind('int statx(int dirfd, void *path, int flags, uint mask, void *buffer)');

const AT_NO_AUTOMOUNT = 0x800;
const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID = 0x1000;
const STATX_MNT_ID_UNIQUE = 0x4000;
const STATX_ATTR_MOUNT_ROOT = 0x2000;
const STATX_ATTR_IMMUTABLE = 0x10;
const STATX_ATTR_APPEND = 0x20;

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

/**
 * One entry's statx(2), made to be filled again and again: no object per entry. Fields are at the offsets of struct
 * statx in linux/stat.h; 64-bit values stay split where they are only copied and compared.
 */
export class Stat {
  readonly #bytes = Buffer.alloc(256);

  /** Never follows a symlink, never mounts anything. */
  readAt(dirfd: number, name: CString): this {
    const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    check(statx(dirfd, name, flags, STATX_BASIC_STATS, this.#bytes), 'statx', name);
    return this;
  }

  /** Of an open descriptor, O_PATH included. */
  readFd(fd: number): this {
    const flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT;
    check(statx(fd, emptyPath, flags, STATX_BASIC_STATS, this.#bytes), 'statx', `fd ${fd}`);
    return this;
  }

  /**
   * The mount that a descriptor was opened by: its number in mountinfo, which may be another mount's once it is gone, or (`forEver`) the
   * one that never is.
   */
  mountOf(fd: number, kind: 'in mountinfo' | 'for ever'): number {
    const mask = kind === 'for ever' ? STATX_MNT_ID_UNIQUE : STATX_MNT_ID;
    check(statx(fd, emptyPath, AT_EMPTY_PATH | AT_NO_AUTOMOUNT, mask, this.#bytes), 'statx', `fd ${fd}`);
    return u64(this.#bytes, 144);
  }

  get isMountRoot(): boolean {
    return (this.#bytes.readUInt32LE(8) & STATX_ATTR_MOUNT_ROOT) !== 0;
  }
  /** Immutable or append-only: not even root may change, rename, link or remove it. */
  get isProtected(): boolean {
    return (this.#bytes.readUInt32LE(8) & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) !== 0;
  }
  get nlink(): number {
    return this.#bytes.readUInt32LE(16);
  }
  get uid(): number {
    return this.#bytes.readUInt32LE(20);
  }
  get gid(): number {
    return this.#bytes.readUInt32LE(24);
  }
  /** Type and permission bits. */
  get mode(): number {
    return this.#bytes.readUInt16LE(28);
  }
  get format(): number {
    return this.#bytes.readUInt16LE(28) & S_IFMT;
  }
  get inodeLow(): number {
    return this.#bytes.readUInt32LE(32);
  }
  get inodeHigh(): number {
    return this.#bytes.readUInt32LE(36);
  }
  /** Exact below 2^53 bytes. */
  get size(): number {
    return u64(this.#bytes, 40);
  }
  /** Of 512 bytes each. */
  get blocks(): number {
    return u64(this.#bytes, 48);
  }
  get ctimeSeconds(): number {
    return i64(this.#bytes, 96);
  }
  get ctimeNanoseconds(): number {
    return this.#bytes.readUInt32LE(104);
  }
  get mtimeSeconds(): number {
    return i64(this.#bytes, 112);
  }
  get mtimeNanoseconds(): number {
    return this.#bytes.readUInt32LE(120);
  }
  get deviceMajor(): number {
    return this.#bytes.readUInt32LE(128);
  }
  get deviceMinor(): number {
    return this.#bytes.readUInt32LE(132);
  }
  get filesystemMajor(): number {
    return this.#bytes.readUInt32LE(136);
  }
  get filesystemMinor(): number {
    return this.#bytes.readUInt32LE(140);
  }
}

function u64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * 0x1_0000_0000 + bytes.readUInt32LE(offset);
}

function i64(bytes: Buffer, offset: number): number {
  return bytes.readInt32LE(offset + 4) * 0x1_0000_0000 + bytes.readUInt32LE(offset);
}
