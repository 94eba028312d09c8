import { type CString, SystemCallError, showName } from '../../linux/libc.ts';
import { close, openDirectoryAt } from '../../linux/open.ts';
import { Stat } from '../../linux/stat.ts';

const ENOENT = 2;
/** Descriptors held at once; in a deeper tree the upper ones are closed and opened again on the way back. */
const OPEN_LIMIT = 256;

export type InodeNumber = { low: number; high: number };
type Level = { name: CString; inode: InodeNumber | null; fd: number };

/**
 * The way from a root down to the current directory, each step opened by one name relative to the step above and never
 * through a symlink. So trees may be deeper than PATH_MAX, and whoever swaps names meanwhile leads it nowhere else.
 */
export class DirectoryStack {
  readonly #rootFd: number;
  readonly #levels: Level[] = [];
  readonly #stat = new Stat();
  #openCount = 0;
  #shallowestOpen = 0;

  /** The root's descriptor stays the caller's. */
  constructor(rootFd: number) {
    this.#rootFd = rootFd;
  }

  get depth(): number {
    return this.#levels.length;
  }

  /** Goes down one step; nothing is opened yet. With `inode`, opening checks that the directory is still that one. */
  push(name: CString, inode: InodeNumber | null): void {
    this.#levels.push({ name: Buffer.from(name), inode, fd: -1 });
  }

  pop(): void {
    const level = this.#levels.pop();
    if (level !== undefined) this.#close(level);
  }

  /** The current directory's descriptor. Throws ENOENT, ENOTDIR or ELOOP if it isn't there any more. */
  fd(): number {
    const top = this.#levels.at(-1);
    if (top === undefined) return this.#rootFd;
    if (top.fd >= 0) return top.fd;
    let opened = this.#levels.length - 1;
    while (opened > 0 && (this.#levels[opened - 1]?.fd ?? -1) < 0) opened -= 1;
    this.#shallowestOpen = Math.min(this.#shallowestOpen, opened);
    let parent = opened === 0 ? this.#rootFd : (this.#levels[opened - 1]?.fd ?? -1);
    for (const level of this.#levels.slice(opened)) parent = this.#open(level, parent);
    return parent;
  }

  /** The current directory's path below the root for messages, with `name` behind it if given. */
  show(name?: CString): string {
    const parts = this.#levels.map((level) => showName(level.name));
    if (name !== undefined) parts.push(showName(name));
    return parts.length === 0 ? '.' : parts.join('/');
  }

  [Symbol.dispose](): void {
    while (this.#levels.length > 0) this.pop();
  }

  #open(level: Level, parent: number): number {
    const fd = openDirectoryAt(parent, level.name);
    if (level.inode !== null && !this.#isInode(fd, level.inode)) {
      close(fd);
      throw new SystemCallError(ENOENT, 'openat', level.name);
    }
    level.fd = fd;
    this.#openCount += 1;
    if (this.#openCount > OPEN_LIMIT) this.#closeShallowest();
    return fd;
  }

  #isInode(fd: number, inode: InodeNumber): boolean {
    this.#stat.readFd(fd);
    return this.#stat.inodeLow === inode.low && this.#stat.inodeHigh === inode.high;
  }

  #closeShallowest(): void {
    for (let index = this.#shallowestOpen; index < this.#levels.length - 1; index += 1) {
      const level = this.#levels[index];
      if (level !== undefined && level.fd >= 0) {
        this.#close(level);
        this.#shallowestOpen = index + 1;
        return;
      }
    }
  }

  #close(level: Level): void {
    if (level.fd < 0) return;
    close(level.fd);
    level.fd = -1;
    this.#openCount -= 1;
  }
}
