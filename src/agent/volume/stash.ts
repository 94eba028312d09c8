import { createHash } from 'node:crypto';
import { basename, dirname } from 'node:path';
import { type CString, cstring, isErrno } from '../../linux/libc.ts';
import { linkAt, makeDirectoryAt, removeDirectoryAt, renameAt, unlinkAt } from '../../linux/names.ts';
import { close, openDirectory, openDirectoryAt } from '../../linux/open.ts';
import { Stat } from '../../linux/stat.ts';
import { Listing } from './listing.ts';
import type { OpenRoot } from './open-root.ts';
import { despiteProtection } from './protection.ts';
import { removeTree } from './remove-tree.ts';

/**
 * Where inodes wait between their old and their new names: a directory beside the root, on the same file system. Where
 * the root is itself a mount point, only a place below it is on the same one. Made when it is first needed.
 */
export class Stash implements Disposable {
  readonly #root: OpenRoot;
  readonly #name: CString;
  readonly #parentFd: number;
  #fd = -1;

  constructor(root: OpenRoot) {
    this.#root = root;
    const label = createHash('sha256').update(root.path).digest('hex').slice(0, 16);
    this.#name = cstring(`.cargo-stash-${label}`);
    this.#parentFd = this.#isInside ? root.fd : openDirectory(dirname(root.path));
  }

  /** Whether the name is the stash's own, in the root. */
  isOwnName(depth: number, name: CString): boolean {
    return depth === 0 && this.#parentFd === this.#root.fd && Buffer.compare(name, this.#name) === 0;
  }

  /** What an interrupted round left. */
  removeLeftover(): void {
    removeTree(this.#parentFd, this.#name);
  }

  /** Takes an entry out of the tree. */
  put(dirfd: number, name: CString, id: number): void {
    const stash = this.#open();
    despiteProtection([{ dirfd }, { dirfd, name }], () => renameAt(dirfd, name, stash, idName(id)));
  }

  /** Keeps a hard link of an entry. */
  anchor(dirfd: number, name: CString, id: number): void {
    const stash = this.#open();
    despiteProtection([{ dirfd, name }], () => linkAt(dirfd, name, stash, idName(id)));
  }

  take(id: number, dirfd: number, name: CString): void {
    const stash = this.#open();
    const places = [{ dirfd }, { dirfd: stash, name: idName(id) }];
    despiteProtection(places, () => renameAt(stash, idName(id), dirfd, name));
  }

  link(id: number, dirfd: number, name: CString): void {
    const stash = this.#open();
    const places = [{ dirfd }, { dirfd: stash, name: idName(id) }];
    despiteProtection(places, () => linkAt(stash, idName(id), dirfd, name));
  }

  /** At the end only anchors are left: their names go, their inodes are in the tree. */
  finish(): void {
    if (this.#fd < 0) return;
    const listing = Listing.of(this.#fd);
    const dirfd = this.#fd;
    for (let index = 0; index < listing.count; index += 1) {
      const name = listing.name(index);
      despiteProtection([{ dirfd, name }], () => unlinkAt(dirfd, name));
    }
    despiteProtection([{ dirfd: this.#parentFd }], () => removeDirectoryAt(this.#parentFd, this.#name));
    this.#close();
  }

  [Symbol.dispose](): void {
    this.#close();
    if (this.#parentFd !== this.#root.fd) close(this.#parentFd);
  }

  get #isInside(): boolean {
    if (this.#root.only !== null) return true;
    return new Stat().readFd(this.#root.fd).isMountRoot || basename(this.#root.path) === '';
  }

  #open(): number {
    if (this.#fd >= 0) return this.#fd;
    try {
      despiteProtection([{ dirfd: this.#parentFd }], () => makeDirectoryAt(this.#parentFd, this.#name, 0o700));
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    this.#fd = openDirectoryAt(this.#parentFd, this.#name);
    return this.#fd;
  }

  #close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}

function idName(id: number): CString {
  return cstring(String(id));
}
