import { readlinkSync } from 'node:fs';
import { openHandle } from '../../linux/file-handle.ts';
import { isOpenElsewhere } from '../../linux/lease.ts';
import { isErrno } from '../../linux/libc.ts';
import { close, O_NONBLOCK, O_RDWR, reopen } from '../../linux/open.ts';
import { Stat } from '../../linux/stat.ts';
import type { PlaceholderList } from './placeholders.ts';

const KEPT_OPEN = 128;

/** A file opened to be filled; `release` when nothing is written through it for now. */
export type WriteFile = { fd: number; release: () => void };

/** `isPinned`: opened by a name that is held on to besides. */
type Entry = { fd: number; users: number; isPinned: boolean };

/**
 * Descriptors of files that are being filled, opened by handle: no name is looked up.
 *
 * A file without a name loses its marks as soon as any of the names that it had is let go of, though another one is still
 * open: whoever has that one open would read zeros from then on (dentry_unlink_inode in fs/dcache.c). So each name under which a file was
 * opened before it was whole is held on to (`pin`), and the engine opens the file by that name, too.
 */
export class WriteFiles {
  readonly #mountFd: number;
  readonly #list: PlaceholderList;
  readonly #open = new Map<number, Entry>();
  /** file → name → a descriptor opened by it. */
  readonly #pins = new Map<number, Map<string, number>>();
  readonly #stat = new Stat();

  /** `mountFd`: any descriptor of the volume's file system. */
  constructor(mountFd: number, list: PlaceholderList) {
    this.#mountFd = mountFd;
    this.#list = list;
  }

  /** Null: the file was deleted and nobody has it open any more. @throws EAGAIN while somebody has a lease on it (fcntl(2)): it is broken now */
  use(file: number): WriteFile | null {
    const entry = this.#open.get(file) ?? this.#openAgain(file);
    if (entry === null) return null;
    entry.users += 1;
    this.#open.delete(file);
    this.#open.set(file, entry);
    this.#closeIdle();
    return {
      fd: entry.fd,
      release: () => {
        entry.users -= 1;
        if (entry.users === 0 && !this.#pins.has(file) && this.#open.get(file) === entry) this.#close(file, entry);
      },
    };
  }

  /** Somebody is let open the file before it is whole, as `fd`, which belongs to this from now on. */
  pin(file: number, fd: number): void {
    const pins = this.#pins.get(file) ?? new Map<string, number>();
    this.#pins.set(file, pins);
    const name = readlinkSync(`/proc/self/fd/${fd}`);
    if (pins.has(name)) close(fd);
    else pins.set(name, fd);
  }

  /** Before a file loses its mark: a descriptor that can write would keep it from being executed. */
  close(file: number): void {
    const entry = this.#open.get(file);
    if (entry !== undefined) this.#close(file, entry);
    for (const fd of this.#pins.get(file)?.values() ?? []) close(fd);
    this.#pins.delete(file);
  }

  /** Lets go of files that were deleted and that nobody has open any more. */
  closeDeleted(): void {
    for (const [file, pins] of this.#pins) {
      const [fd = -1, ...others] = pins.values();
      if (others.length > 0 || this.#stat.readFd(fd).nlink > 0) continue;
      const entry = this.#open.get(file);
      if (entry?.users === 0 && entry.isPinned) this.#close(file, entry);
      if (!this.#open.has(file) && !isOpenElsewhere(fd)) this.close(file);
    }
  }

  #close(file: number, entry: Entry): void {
    this.#open.delete(file);
    close(entry.fd);
  }

  #openAgain(file: number): Entry | null {
    try {
      const [pin] = this.#pins.get(file)?.values() ?? [];
      const byName = pin === undefined ? null : this.#byName(pin);
      return { fd: byName ?? this.#byHandle(file), users: 0, isPinned: byName !== null };
    } catch (error) {
      if (isErrno(error, 'ESTALE')) return null;
      throw error;
    }
  }

  /** Null: it was opened on a mount that is read-only. */
  #byName(pin: number): number | null {
    try {
      return reopen(pin, O_RDWR | O_NONBLOCK);
    } catch (error) {
      if (isErrno(error, 'EROFS')) return null;
      throw error;
    }
  }

  #byHandle(file: number): number {
    return openHandle(this.#mountFd, this.#list.at(file).handle, O_RDWR | O_NONBLOCK);
  }

  #closeIdle(): void {
    for (const [file, entry] of this.#open) {
      if (this.#open.size <= KEPT_OPEN) return;
      if (entry.users === 0 && this.#stat.readFd(entry.fd).nlink > 0) this.#close(file, entry);
    }
  }
}
