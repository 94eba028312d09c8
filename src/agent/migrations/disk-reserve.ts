import { randomBytes } from 'node:crypto';
import { rm, stat } from 'node:fs/promises';
import { replaceDurably } from '../../files/durable-file.ts';

const RESERVE_BYTES = 1024 * 1024;

/**
 * A file that gives its room to the records when the disk is full: what must be written down then, that a copy failed
 * and that it is to be cleared, is what makes room again.
 */
export class DiskReserve {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes the file if there is room for it. */
  async keep(): Promise<void> {
    const there = await stat(this.#path).catch(() => null);
    if (there !== null && there.size >= RESERVE_BYTES) return;
    try {
      await replaceDurably(this.#path, randomBytes(RESERVE_BYTES / 2).toString('hex'));
    } catch (error) {
      if (!isFull(error)) throw error;
    }
  }

  /** Does the work; if the disk is full, once more with the room of the reserve. */
  async through(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isFull(error)) throw error;
      await rm(this.#path, { force: true });
      await work();
    }
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
