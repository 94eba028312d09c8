import { join } from 'node:path';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { sourceMountPath } from '../container/source-paths.ts';
import { serveRanges } from '../lazy/range-server.ts';
import { lastRoundOf, type ServedTree } from '../lazy/served-files.ts';
import { ThreadedFiles } from '../lazy/threaded-files.ts';
import type { RecordStore } from '../migrations/record-store.ts';
import type { RoundConnection } from '../volume/index.ts';

/** `round`: the name of the one that the target received last. */
export type RangesRequest = { kind: 'ranges'; migrationId: string; mountIndex: number; round: string };

/** `key` begins with the migration's id. */
type Serving = { key: string; connection: RoundConnection; ended: Promise<void> };
/** `idle`: closes them when there have been no users for a while. */
type OpenFiles = { opening: Promise<ThreadedFiles>; users: number; idle: NodeJS.Timeout | undefined };

/** A target has two connections; what is more are old ones whose end was not heard here. */
const MOST_CONNECTIONS = 8;
/** A target lists the files by one connection and reads them by the next, while nothing runs. */
const KEPT_OPEN_MS = 5_000;

/**
 * The content that this host still holds for mounts that run elsewhere already, range by range. The files of a mount are open
 * while there is a connection that wants them, and for some seconds after.
 */
export class ServedRanges {
  readonly #records: RecordStore;
  readonly #log: Logger;
  /** By the mount's key and what its last round left. */
  readonly #files = new Map<string, OpenFiles>();
  readonly #serving = new Set<Serving>();

  constructor({ records, log }: { records: RecordStore; log: Logger }) {
    this.#records = records;
    this.#log = log;
  }

  /**
   * Serves one connection until it closes. Never throws: what goes wrong is logged and ends the connection.
   *
   * @param refuse throws where the target may not have it any more; asked before each answer
   */
  async serve(request: RangesRequest, connection: RoundConnection, refuse: () => void): Promise<void> {
    const key = `${request.migrationId}/${request.mountIndex}`;
    const ended = Promise.withResolvers<void>();
    const serving = { key, connection, ended: ended.promise };
    this.#serving.add(serving);
    this.#endOldest(key);
    try {
      refuse();
      await this.#serveOpen(request, connection, refuse);
    } catch (error) {
      const { migrationId: migration, mountIndex: mount } = request;
      this.#log.warn({ migration, mount, err: error }, 'ranges are served no more');
    } finally {
      connection.socket.destroy();
      this.#serving.delete(serving);
      ended.resolve();
    }
  }

  /** Opens what will be asked for next; resolves once that is over. What goes wrong is told to who asks. */
  async prepare(request: Omit<RangesRequest, 'round'>): Promise<void> {
    try {
      const round = lastRoundOf(this.#stateDirOf(request));
      const [of, files] = this.#filesOf({ ...request, round });
      await this.#keepAWhile(of, files);
    } catch (error) {
      this.#log.debug({ migration: request.migrationId, err: error }, 'files are not opened ahead');
    }
  }

  /** Ends what is being served for a migration and resolves once its files are closed. */
  async end(migrationId: string): Promise<void> {
    await this.#end((key) => key.startsWith(`${migrationId}/`));
  }

  async close(): Promise<void> {
    await this.#end(() => true);
  }

  async #end(isMeant: (key: string) => boolean): Promise<void> {
    const meant = [...this.#serving].filter(({ key }) => isMeant(key));
    for (const { connection } of meant) connection.socket.destroy();
    await Promise.all(meant.map(({ ended }) => ended));
    await Promise.all([...this.#files].filter(([of]) => isMeant(of)).map((entry) => this.#closeFiles(...entry)));
  }

  #endOldest(key: string): void {
    const all = [...this.#serving].filter((serving) => serving.key === key);
    for (const { connection } of all.slice(0, Math.max(0, all.length - MOST_CONNECTIONS))) connection.socket.destroy();
  }

  async #serveOpen(request: RangesRequest, connection: RoundConnection, refuse: () => void): Promise<void> {
    const [of, files] = this.#filesOf(request);
    files.users += 1;
    clearTimeout(files.idle);
    try {
      const opened = await files.opening;
      void opened.lost.then(() => connection.socket.destroy());
      await serveRanges(connection, opened.source, refuse);
    } finally {
      files.users -= 1;
      if (files.users === 0) await this.#keepAWhile(of, files);
    }
  }

  #filesOf(request: RangesRequest): [of: string, files: OpenFiles] {
    const tree = this.#treeOf(request);
    const of = `${request.migrationId}/${request.mountIndex}/${request.round}`;
    const known = this.#files.get(of);
    if (known !== undefined) return [of, known];
    const files = { opening: ThreadedFiles.open(tree), users: 0, idle: undefined };
    this.#files.set(of, files);
    files.opening.then(
      async ({ lost }) => {
        await lost;
        this.#forget(of, files);
      },
      () => this.#forget(of, files),
    );
    return [of, files];
  }

  /** What can't be read is opened anew by who comes next. */
  #forget(of: string, files: OpenFiles): void {
    clearTimeout(files.idle);
    if (this.#files.get(of) === files) this.#files.delete(of);
  }

  async #keepAWhile(of: string, files: OpenFiles): Promise<void> {
    await files.opening.catch(() => {});
    if (files.users > 0 || this.#files.get(of) !== files) return;
    clearTimeout(files.idle);
    files.idle = setTimeout(() => void this.#closeFiles(of, files), KEPT_OPEN_MS).unref();
  }

  async #closeFiles(of: string, files: OpenFiles): Promise<void> {
    this.#forget(of, files);
    const opened = await files.opening.catch(() => null);
    await opened?.[Symbol.asyncDispose]();
  }

  /** Only of a container that is stopped and gated: nothing but its own writes would change what the manifest says. */
  #treeOf({ migrationId, mountIndex, round }: RangesRequest): ServedTree {
    const record = this.#records.get(migrationId);
    if (record.source?.frozen == null) {
      throw new CargoError('WRONG_PHASE', `migration ${migrationId} has not stopped its container here`);
    }
    const stateDir = this.#stateDirOf({ migrationId, mountIndex });
    return { path: sourceMountPath(record, mountIndex), stateDir, round };
  }

  #stateDirOf({ migrationId, mountIndex }: Pick<RangesRequest, 'migrationId' | 'mountIndex'>): string {
    return join(this.#records.directory(migrationId), `mount-${mountIndex}`);
  }
}
