import { PORTABLE_FLAGS, PROTECTING_FLAGS, readFlags, writeFlags } from '../../linux/inode-flags.ts';
import { type CString, isErrno } from '../../linux/libc.ts';
import { close, O_CREAT, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, openAt, reopen } from '../../linux/open.ts';
import { chmod, chmodPathFd, chown, chownAt } from '../../linux/owner.ts';
import { S_IFLNK, S_IFREG, Stat } from '../../linux/stat.ts';
import { setMtime, setMtimeAt } from '../../linux/times.ts';
import { listXattrs, removeXattr, setXattr, XATTR_MAX_BYTES, type XattrHolder } from '../../linux/xattr.ts';
import { violation } from './op-reader.ts';
import type { Metadata } from './ops.ts';
import { despiteProtection, liftProtection } from './protection.ts';
import { setReserved } from './reserved-room.ts';
import { entryPath } from './tree-entry.ts';
import { INODE_FLAGS, RESERVED_ROOM, splitNames } from './xattr-reader.ts';

const PERMISSIONS = 0o7777;
const SELINUX = 'security.selinux\0';
const list = Buffer.alloc(XATTR_MAX_BYTES);
const nothing = Buffer.alloc(0);
const reservedRoom = RESERVED_ROOM.toString('latin1');
const inodeFlags = INODE_FLAGS.toString('latin1');

/** How an entry's owner, mode and times are reached: by descriptor, or by name where there is nothing to open. */
type Handle = {
  holder: XattrHolder;
  /** Those it had, without the protecting ones by now; null for what can't have any. */
  flags: number | null;
  chown(uid: number, gid: number): void;
  chmod(mode: number): void;
  setMtime(seconds: number, nanoseconds: number): void;
  close(): void;
};

/**
 * An entry whose metadata are being set. The order is what makes them stay: chown and changes of the content clear
 * set-id bits and capabilities, so chmod comes after them, attributes after both, then the times, and last the flags that
 * would forbid all that.
 */
export class BegunEntry {
  readonly #handle: Handle;
  readonly #metadata: Metadata;
  readonly #named = new Set<string>();
  #hasOwner = false;
  #flags: number | null = null;

  constructor(handle: Handle, metadata: Metadata) {
    this.#handle = handle;
    this.#metadata = metadata;
  }

  setAttribute(name: CString, value: Buffer): void {
    const text = Buffer.from(name).toString('latin1');
    this.#named.add(text);
    if (text === reservedRoom) {
      this.setReservedRoom(value);
      return;
    }
    this.#setOwner();
    if (text === inodeFlags) this.#flags = value.length === 4 ? value.readUInt32LE(0) & PORTABLE_FLAGS : 0;
    else tolerateSelinux(text, () => setXattr(this.#handle.holder, name, value));
  }

  /** `allAttributes`: those that were not set go away, such as an ACL that a new file inherited. */
  finish(allAttributes: boolean): void {
    if (allAttributes && !this.#named.has(reservedRoom)) this.setReservedRoom(nothing);
    this.#setOwner();
    if (allAttributes) this.#removeOtherAttributes();
    this.#handle.setMtime(this.#metadata.mtimeSeconds, this.#metadata.mtimeNanoseconds);
    this.#setFlags(allAttributes);
    this.close();
  }

  close(): void {
    this.#handle.close();
  }

  protected setReservedRoom(_packed: Buffer): void {}

  #setFlags(allAttributes: boolean): void {
    const { flags: before, holder } = this.#handle;
    if (before === null || typeof holder !== 'number') return;
    const flags = allAttributes ? (before & ~PORTABLE_FLAGS) | (this.#flags ?? 0) : before;
    if (flags !== (before & ~PROTECTING_FLAGS)) writeFlags(holder, flags);
  }

  #setOwner(): void {
    if (this.#hasOwner) return;
    this.#hasOwner = true;
    this.#handle.chown(this.#metadata.uid, this.#metadata.gid);
    this.#handle.chmod(this.#metadata.mode & PERMISSIONS);
  }

  #removeOtherAttributes(): void {
    const length = listXattrs(this.#handle.holder, list);
    if (length === 0) return;
    for (const name of splitNames(list.subarray(0, length))) {
      const text = name.toString('latin1');
      if (!this.#named.has(text)) tolerateSelinux(text, () => removeXattr(this.#handle.holder, name));
    }
  }
}

export class BegunFile extends BegunEntry {
  readonly fd: number;
  readonly #isNew: boolean;

  constructor(fd: number, flags: number, metadata: Metadata, isNew: boolean) {
    super(
      fdHandle(fd, flags, () => close(fd)),
      metadata,
    );
    this.fd = fd;
    this.#isNew = isNew;
  }

  protected override setReservedRoom(packed: Buffer): void {
    if (packed.length > 0 || !this.#isNew) setReserved(this.fd, packed, new Stat().readFd(this.fd).size);
  }
}

/** Creates a file that must not exist. */
export function createFile(dirfd: number, name: CString, metadata: Metadata): BegunFile {
  let fd = -1;
  despiteProtection([{ dirfd }], () => {
    fd = openAt(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  });
  return new BegunFile(fd, readFlags(fd), metadata, true);
}

/** Opens a file that must exist; anything but a regular file is looked at, not opened. */
export function openFile(dirfd: number, name: CString, metadata: Metadata): BegunFile {
  const handle = openAt(dirfd, name, O_PATH | O_NOFOLLOW);
  try {
    const stat = new Stat().readFd(handle);
    if (stat.format !== S_IFREG) throw violation('a file is no file');
    const flags = stat.isProtected ? liftFromFile(handle) : null;
    const fd = reopen(handle, O_RDWR);
    return new BegunFile(fd, flags ?? readFlags(fd), metadata, false);
  } finally {
    close(handle);
  }
}

/** What is immutable or append-only can't be opened for writing. */
function liftFromFile(handle: number): number {
  const fd = reopen(handle, O_RDONLY);
  try {
    return liftProtection(fd);
  } finally {
    close(fd);
  }
}

/** A directory's own metadata; its descriptor stays open. */
export function beginDirectory(fd: number, metadata: Metadata): BegunEntry {
  return new BegunEntry(
    fdHandle(fd, liftProtection(fd), () => {}),
    metadata,
  );
}

/** A symlink or node, new or not. */
export function beginByName(dirfd: number, name: CString, metadata: Metadata): BegunEntry {
  return new BegunEntry(nameHandle(dirfd, name), metadata);
}

function fdHandle(fd: number, flags: number, end: () => void): Handle {
  return {
    holder: fd,
    flags,
    chown: (uid, gid) => chown(fd, uid, gid),
    chmod: (mode) => chmod(fd, mode),
    setMtime: (seconds, nanoseconds) => setMtime(fd, seconds, nanoseconds),
    close: end,
  };
}

function nameHandle(dirfd: number, name: CString): Handle {
  const kept = Buffer.from(name);
  const handle = openAt(dirfd, kept, O_PATH | O_NOFOLLOW);
  const isSymlink = new Stat().readFd(handle).format === S_IFLNK;
  return {
    holder: entryPath(dirfd, kept),
    flags: null,
    chown: (uid, gid) => chownAt(dirfd, kept, uid, gid),
    chmod: (mode) => (isSymlink ? undefined : chmodPathFd(handle, mode)),
    setMtime: (seconds, nanoseconds) => setMtimeAt(dirfd, kept, seconds, nanoseconds),
    close: () => close(handle),
  };
}

/** A host's SELinux policy may have its own word on labels; they are the host's, not the data's. */
function tolerateSelinux(name: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (name !== SELINUX || !isErrno(error, 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP')) throw error;
  }
}
