import { type CString, isErrno } from '../../linux/libc.ts';
import { close, O_CREAT, O_EXCL, O_NOFOLLOW, O_PATH, O_RDWR, openAt, reopen } from '../../linux/open.ts';
import { chmod, chmodPathFd, chown, chownAt } from '../../linux/owner.ts';
import { S_IFLNK, S_IFREG, Stat } from '../../linux/stat.ts';
import { setMtime, setMtimeAt } from '../../linux/times.ts';
import { listXattrs, removeXattr, setXattr, XATTR_MAX_BYTES, type XattrHolder } from '../../linux/xattr.ts';
import { violation } from './op-reader.ts';
import type { Metadata } from './ops.ts';
import { entryPath } from './tree-entry.ts';
import { splitNames } from './xattr-reader.ts';

const PERMISSIONS = 0o7777;
const SELINUX = 'security.selinux\0';
const list = Buffer.alloc(XATTR_MAX_BYTES);

/** How an entry's owner, mode and times are reached: by descriptor, or by name where there is nothing to open. */
type Handle = {
  holder: XattrHolder;
  chown(uid: number, gid: number): void;
  chmod(mode: number): void;
  setMtime(seconds: number, nanoseconds: number): void;
  close(): void;
};

/**
 * An entry whose metadata are being set. The order is what makes them stay: chown clears set-id bits and capabilities,
 * so chmod comes after it, attributes after both, and the times last.
 */
export class BegunEntry {
  readonly #handle: Handle;
  readonly #metadata: Metadata;
  readonly #named = new Set<string>();
  #hasOwner = false;

  constructor(handle: Handle, metadata: Metadata) {
    this.#handle = handle;
    this.#metadata = metadata;
  }

  setAttribute(name: CString, value: Uint8Array): void {
    this.#setOwner();
    const text = Buffer.from(name).toString('latin1');
    this.#named.add(text);
    tolerateSelinux(text, () => setXattr(this.#handle.holder, name, value));
  }

  /** `allAttributes`: those that were not set go away, such as an ACL that a new file inherited. */
  finish(allAttributes: boolean): void {
    this.#setOwner();
    if (allAttributes) this.#removeOtherAttributes();
    this.#handle.setMtime(this.#metadata.mtimeSeconds, this.#metadata.mtimeNanoseconds);
    this.close();
  }

  close(): void {
    this.#handle.close();
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

  constructor(fd: number, metadata: Metadata) {
    super(
      fdHandle(fd, () => close(fd)),
      metadata,
    );
    this.fd = fd;
  }
}

/** Creates a file that must not exist. */
export function createFile(dirfd: number, name: CString, metadata: Metadata): BegunFile {
  return new BegunFile(openAt(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600), metadata);
}

/** Opens a file that must exist; anything but a regular file is looked at, not opened. */
export function openFile(dirfd: number, name: CString, metadata: Metadata): BegunFile {
  const handle = openAt(dirfd, name, O_PATH | O_NOFOLLOW);
  try {
    if (new Stat().readFd(handle).format !== S_IFREG) throw violation('a file is no file');
    return new BegunFile(reopen(handle, O_RDWR), metadata);
  } finally {
    close(handle);
  }
}

/** A directory's own metadata; its descriptor stays open. */
export function beginDirectory(fd: number, metadata: Metadata): BegunEntry {
  return new BegunEntry(
    fdHandle(fd, () => {}),
    metadata,
  );
}

/** A symlink or node, new or not. */
export function beginByName(dirfd: number, name: CString, metadata: Metadata): BegunEntry {
  return new BegunEntry(nameHandle(dirfd, name), metadata);
}

function fdHandle(fd: number, end: () => void): Handle {
  return {
    holder: fd,
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
