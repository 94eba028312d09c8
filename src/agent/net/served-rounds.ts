import type { EventEmitter } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { sourceMountPath } from '../container/source-paths.ts';
import type { RecordStore } from '../migrations/record-store.ts';
import { Serial } from '../migrations/serial.ts';
import type { RoundStats, SendRound, VerifyAtSource, VerifyStats } from '../migrations/volume-rounds.ts';
import type { RoundConnection } from '../volume/index.ts';

/** What the target may want of one data mount over a connection. */
export type DataRequest = { migrationId: string; mountIndex: number } & (
  | { kind: 'round'; round: number; final: boolean; bwlimit: number | null }
  | { kind: 'verification' }
);
type Options = { records: RecordStore; send: SendRound; verify: VerifyAtSource; log: Logger };

/**
 * What this host sends as a source: rounds and verifications, at most one for each mount, because they share a state
 * directory; and images.
 */
export class ServedRounds {
  readonly #options: Options;
  readonly #active = new Map<string, AbortController>();
  readonly #serial = new Serial();
  #images = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  /**
   * Serves one request over the connection and closes it. One of the same mount that is still going on belongs to a
   * connection that the target gave up: it is ended first. Never throws: what goes wrong is logged and ends the connection.
   *
   * @param refuse throws where the target may not have it any more: it chose how long the connection took to get here
   */
  async serve(request: DataRequest, connection: RoundConnection, refuse: () => void): Promise<void> {
    const { socket } = connection;
    try {
      refuse();
    } catch (error) {
      this.#options.log.warn({ err: error, migration: request.migrationId }, `${request.kind} not served`);
      socket.destroy();
      return;
    }
    // In the same turn as that look: what ends the serving from now on finds it here.
    const key = `${request.migrationId}/${request.mountIndex}`;
    const stop = new AbortController();
    this.#active.get(key)?.abort(new CargoError('CANCELLED', 'the target began again'));
    this.#active.set(key, stop);
    const close = (): void => stop.abort(new CargoError('PEER_UNREACHABLE', 'the target closed the connection'));
    socket.once('close', close);
    try {
      await this.#serial.run(key, () => this.#serveOne(request, connection, stop.signal));
    } finally {
      socket.off('close', close);
      if (this.#active.get(key) === stop) this.#active.delete(key);
    }
  }

  /** A signal that aborts with the serving of the migration, for an image that goes out until `response` closes. */
  image(migrationId: string, response: EventEmitter): AbortSignal {
    this.#images += 1;
    const key = `${migrationId}/image-${this.#images}`;
    const stop = new AbortController();
    this.#active.set(key, stop);
    response.once('close', () => this.#active.delete(key));
    return stop.signal;
  }

  /** Ends what is being served for a migration and resolves once it has ended. */
  async end(migrationId: string): Promise<void> {
    const keys = [...this.#active.keys()].filter((key) => key.startsWith(`${migrationId}/`));
    await this.#endAll(keys, new CargoError('CANCELLED', 'the source serves this migration no more'));
  }

  /** Ends all that is being served; the targets ask again for a while. */
  async close(): Promise<void> {
    await this.#endAll([...this.#active.keys()], new CargoError('PEER_UNREACHABLE', "the source's agent is stopping"));
  }

  async #endAll(keys: readonly string[], reason: CargoError): Promise<void> {
    for (const key of keys) this.#active.get(key)?.abort(reason);
    await Promise.all(keys.map((key) => this.#serial.run(key, async () => {})));
  }

  async #serveOne(request: DataRequest, connection: RoundConnection, signal: AbortSignal): Promise<void> {
    const { migrationId, mountIndex, kind, ...rest } = request;
    const log = this.#options.log.child({ migration: migrationId, mount: mountIndex, ...rest });
    try {
      signal.throwIfAborted();
      const result = await this.#transfer(request, connection, signal);
      connection.socket.end();
      log.info(result, `${kind} served`);
    } catch (error) {
      log.warn({ err: signal.aborted ? signal.reason : error }, `${kind} not served`);
      connection.socket.destroy();
    }
  }

  async #transfer(
    request: DataRequest,
    connection: RoundConnection,
    signal: AbortSignal,
  ): Promise<RoundStats | VerifyStats> {
    const { records, send, verify } = this.#options;
    const { migrationId, mountIndex } = request;
    const record = records.get(migrationId);
    const isFile = record.definition?.mounts.find(({ index }) => index === mountIndex)?.isFile === true;
    const stateDir = join(records.directory(migrationId), `mount-${mountIndex}`);
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const root = { path: sourceMountPath(record, mountIndex), isFile };
    if (request.kind === 'verification') return verify({ ...connection, root, stateDir, signal });
    const { round, final, bwlimit } = request;
    return send({ ...connection, root, stateDir, round, final, bwlimit, signal, onProgress: () => {} });
  }
}
