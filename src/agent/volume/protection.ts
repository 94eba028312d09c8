import { basename, dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { PROTECTING_FLAGS, readFlags, writeFlags } from '../../linux/inode-flags.ts';
import { type CString, cstring, isErrno } from '../../linux/libc.ts';
import {
  close,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  openAt,
  openDirectory,
  reopen,
} from '../../linux/open.ts';
import { S_IFDIR, S_IFREG, Stat } from '../../linux/stat.ts';
import { DirectoryStack } from './directory-stack.ts';
import { Listing } from './listing.ts';

/** A directory, or an entry of it. */
type Place = { dirfd: number; name?: CString };

const itself = cstring('.');
const stat = new Stat();
const ENTRIES_AT_ONCE = 1000;

/**
 * Does what may be forbidden by an immutable or append-only flag (chattr +i, +a): such flags of the places are taken
 * away for as long as it lasts.
 */
export function despiteProtection(places: readonly Place[], act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isErrno(error, 'EPERM')) throw error;
    using lifted = new Lifted(places);
    if (lifted.count === 0) throw error;
    act();
  }
}

/** Takes the protecting flags of an open file or directory away. Returns all flags that it had. */
export function liftProtection(fd: number): number {
  const flags = readFlags(fd);
  if ((flags & PROTECTING_FLAGS) !== 0) writeFlags(fd, flags & ~PROTECTING_FLAGS);
  return flags;
}

class Lifted implements Disposable {
  readonly #held: { fd: number; flags: number }[] = [];

  constructor(places: readonly Place[]) {
    for (const { dirfd, name } of places) this.#lift(openFlagged(dirfd, name));
  }

  get count(): number {
    return this.#held.length;
  }

  [Symbol.dispose](): void {
    for (const { fd, flags } of this.#held) {
      writeFlags(fd, flags);
      close(fd);
    }
  }

  #lift(fd: number | null): void {
    if (fd === null) return;
    const flags = liftProtection(fd);
    if ((flags & PROTECTING_FLAGS) !== 0) this.#held.push({ fd, flags });
    else close(fd);
  }
}

/** Opens what can have flags, never through a symlink and never a device; null for anything else. */
function openFlagged(dirfd: number, name: CString | undefined): number | null {
  if (name === undefined) return openAt(dirfd, itself, O_RDONLY | O_DIRECTORY);
  let handle: number;
  try {
    handle = openAt(dirfd, name, O_PATH | O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
  try {
    const { format } = stat.readFd(handle);
    return format === S_IFREG || format === S_IFDIR ? reopen(handle, O_RDONLY | O_NONBLOCK) : null;
  } finally {
    close(handle);
  }
}

/**
 * Takes immutable and append-only flags away from a file, or a directory and all below it, so that it can be removed.
 * @param path a trusted path, which may be missing; what lies below it is not trusted
 */
export async function unprotectTree(path: string): Promise<void> {
  let parent: number;
  try {
    parent = openDirectory(dirname(path));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
    throw error;
  }
  try {
    using directories = new DirectoryStack(parent);
    const top = cstring(basename(path));
    if (!unprotectEntry(parent, top)) return;
    directories.push(top, null);
    await unprotectBelow(directories);
  } finally {
    close(parent);
  }
}

async function unprotectBelow(directories: DirectoryStack): Promise<void> {
  const stack = [{ listing: Listing.of(directories.fd()), next: 0 }];
  let seen = 0;
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    if (top.next === top.listing.count) {
      stack.pop();
      directories.pop();
      continue;
    }
    const name = top.listing.name(top.next);
    top.next += 1;
    seen += 1;
    if (seen % ENTRIES_AT_ONCE === 0) await setImmediate();
    if (!unprotectEntry(directories.fd(), name)) continue;
    directories.push(name, null);
    stack.push({ listing: Listing.of(directories.fd()), next: 0 });
  }
}

/** True if it is a directory. */
function unprotectEntry(dirfd: number, name: CString): boolean {
  try {
    stat.readAt(dirfd, name);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
  const isDirectory = stat.format === S_IFDIR;
  if (stat.isProtected) unprotect(dirfd, name);
  return isDirectory;
}

function unprotect(dirfd: number, name: CString): void {
  const fd = openFlagged(dirfd, name);
  if (fd === null) return;
  try {
    liftProtection(fd);
  } finally {
    close(fd);
  }
}
