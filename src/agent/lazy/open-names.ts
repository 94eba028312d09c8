import { readlinkSync } from 'node:fs';
import { Stat } from '../../linux/stat.ts';

/**
 * The names by which files were opened before they were whole. A file that has lost all its names loses its marks as soon
 * as any of them is let go of (dentry_unlink_inode in fs/dcache.c). The hydrator holds on to each (`WriteFiles`), until it is killed:
 * so a file is not let be open by a second name before it is whole. To be asked of large files only: a million small ones, which
 * are whole before they are open anyhow, would not fit into the thread's memory.
 */
export class OpenNames {
  /** file → its first name, as a number. */
  readonly #first = new Map<number, number>();
  readonly #stat = new Stat();

  /** Whether the file has, or was opened by, another name than that of `fd`; remembers this one if it is the first. */
  areMore(file: number, fd: number): boolean {
    if (this.#stat.readFd(fd).nlink > 1) return true;
    const name = numberOf(readlinkSync(`/proc/self/fd/${fd}`));
    const first = this.#first.get(file) ?? name;
    this.#first.set(file, first);
    return first !== name;
  }
}

/** FNV-1a: two names of one file that give the same number are as unlikely as they need to be. */
function numberOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return hash;
}
