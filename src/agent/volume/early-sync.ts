import { close, openDirectory } from '../../linux/open.ts';
import { syncFilesystemInBackground } from '../../linux/sync.ts';

/**
 * Has a file system write out what is dirty while a round goes on, so that the sync at its end finds little left to do.
 * One at a time, as much as the disk can take. It proves nothing: what could not be written is told by the sync at the
 * end, through a descriptor that was opened before all of it (errors are remembered for each, errseq in fs/sync.c).
 */
export class EarlySync {
  readonly #path: string;
  readonly #sync: (fd: number) => Promise<void>;
  #running: Promise<void> | null = null;

  /** `path`: a directory on that file system. */
  constructor(path: string, sync = syncFilesystemInBackground) {
    this.#path = path;
    this.#sync = sync;
  }

  /** Returns at once; does nothing while an earlier one runs. */
  begin(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Resolves when none runs: nothing of the file system is open any more. */
  async ended(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      const fd = openDirectory(this.#path);
      await this.#sync(fd).finally(() => close(fd));
    } catch {
      // the sync at the end says it
    }
  }
}
