import { readFileSync } from 'node:fs';
import { Stat } from '../../linux/stat.ts';

/**
 * Mounts that the processes which open files by them don't see themselves: those of overlayfs, whose layers are mounts of its own. What it
 * does with a file of a layer raises no event where it maps it (backing_file_mmap of fs/backing-file.c) or cuts it (ovl_setattr).
 */
export class HiddenMounts {
  /** By the number that no other mount gets. */
  readonly #known = new Map<number, boolean>();
  readonly #stat = new Stat();

  /** Whether `fd`, of an event of thread `tid`, was opened by one. */
  has(fd: number, tid: number): boolean {
    const mount = this.#stat.mountOf(fd, 'for ever');
    const known = this.#known.get(mount);
    if (known !== undefined) return known;
    const seen = mountsSeenBy(tid);
    if (seen === null) return true;
    const isHidden = !seen.includes(`\n${this.#stat.mountOf(fd, 'in mountinfo')} `);
    this.#known.set(mount, isHidden);
    return isHidden;
  }
}

/** proc_pid_mountinfo(5); null when the thread is gone. */
function mountsSeenBy(tid: number): string | null {
  try {
    return `\n${readFileSync(`/proc/${tid}/mountinfo`, 'latin1')}`;
  } catch {
    return null;
  }
}
