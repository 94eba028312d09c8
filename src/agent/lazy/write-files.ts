import { openHandle } from '../../linux/file-handle.ts';
import { isErrno } from '../../linux/libc.ts';
import { close, O_RDWR } from '../../linux/open.ts';
import type { PlaceholderList } from './placeholders.ts';

const KEPT_OPEN = 128;

/** A file opened to be filled; `release` when nothing is written through it for now. */
export type WriteFile = { fd: number; release: () => void };

/** Descriptors of files that are being filled, opened by handle: no name is looked up. */
export class WriteFiles {
  readonly #mountFd: number;
  readonly #list: PlaceholderList;
  readonly #open = new Map<number, { fd: number; users: number }>();

  /** `mountFd`: any descriptor of the volume's file system. */
  constructor(mountFd: number, list: PlaceholderList) {
    this.#mountFd = mountFd;
    this.#list = list;
  }

  /** Null: the file was deleted and nobody has it open any more. */
  use(file: number): WriteFile | null {
    const entry = this.#open.get(file) ?? this.#reopen(file);
    if (entry === null) return null;
    entry.users += 1;
    this.#open.delete(file);
    this.#open.set(file, entry);
    this.#closeIdle();
    return {
      fd: entry.fd,
      release: () => {
        entry.users -= 1;
      },
    };
  }

  /** Before a file loses its mark: a descriptor that can write would keep it from being executed. */
  close(file: number): void {
    const entry = this.#open.get(file);
    if (entry === undefined) return;
    this.#open.delete(file);
    close(entry.fd);
  }

  #reopen(file: number): { fd: number; users: number } | null {
    try {
      return { fd: openHandle(this.#mountFd, this.#list.at(file).handle, O_RDWR), users: 0 };
    } catch (error) {
      if (isErrno(error, 'ESTALE')) return null;
      throw error;
    }
  }

  #closeIdle(): void {
    for (const [file, { fd, users }] of this.#open) {
      if (this.#open.size <= KEPT_OPEN) return;
      if (users > 0) continue;
      close(fd);
      this.#open.delete(file);
    }
  }
}
