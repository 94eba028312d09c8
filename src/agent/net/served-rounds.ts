import type { EventEmitter } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { sourceMountPath } from '../container/source-paths.ts';
import type { RecordStore } from '../migrations/record-store.ts';
import { Serial } from '../migrations/serial.ts';
import type { RoundStats, SendRound, VerifyAtSource, VerifyStats } from '../migrations/volume-rounds.ts';
import type { ChangeLog, RoundConnection } from '../volume/index.ts';
import { type RangesRequest, ServedRanges } from './served-ranges.ts';

/** A round whose target knows it to be complete ends at once, unless the target went away. */
const ROUND_END_MS = 1_000;

/** What the target may want of one data mount over a connection. */
export type DataRequest = { migrationId: string; mountIndex: number } & (
  | {
      kind: 'round';
      round: number;
      final: boolean;
      bwlimit: number | null;
      contentLimit: number | null;
      wholeMs: number;
      freshBytes: number;
    }
  | { kind: 'verification' }
);
type Options = {
  records: RecordStore;
  send: SendRound;
  verify: VerifyAtSource;
  /** Follows the changes to a tree; throws where that can't be done. Without it every round scans. */
  followChanges?: ((path: string) => ChangeLog) | undefined;
  /** Last rounds scan all the same, and fail where the log of changes missed something. */
  auditChanges?: boolean;
  log: Logger;
};

/**
 * What this host sends as a source: rounds and verifications, at most one for each mount, because they share a state
 * directory; images; and what is left of mounts that run at the target already (`ranges`).
 */
export class ServedRounds {
  readonly ranges: ServedRanges;
  readonly #options: Options;
  readonly #active = new Map<string, AbortController>();
  readonly #serial = new Serial();
  #images = 0;
  /** By mount, from its first round to its last; null where changes can't be followed. */
  readonly #logs = new Map<string, ChangeLog | null>();

  constructor(options: Options) {
    this.#options = options;
    this.ranges = new ServedRanges(options);
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
    stop.signal.addEventListener('abort', () => hangUp(socket, stop.signal.reason), { once: true });
    try {
      await this.#serial.run(key, () => this.#serveOne(request, connection, stop.signal));
    } finally {
      socket.off('close', close);
      if (this.#active.get(key) === stop) this.#active.delete(key);
    }
  }

  /** What the last round left out. Its target need not wait until this side has written down that the round is over. */
  async serveRanges(request: RangesRequest, connection: RoundConnection, refuse: () => void): Promise<void> {
    const key = `${request.migrationId}/${request.mountIndex}`;
    if (this.#active.has(key)) {
      const ended = this.#serial.run(key, async () => {});
      await Promise.race([ended, delay(ROUND_END_MS, undefined, { ref: false })]);
    }
    await this.ranges.serve(request, connection, refuse);
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
    const logs = [...this.#logs.keys()].filter((key) => key.startsWith(`${migrationId}/`));
    await Promise.all(logs.map((key) => this.#endLog(key)));
    await this.ranges.end(migrationId);
  }

  /** Ends all that is being served; the targets ask again for a while. */
  async close(): Promise<void> {
    await this.#endAll([...this.#active.keys()], new CargoError('PEER_UNREACHABLE', "the source's agent is stopping"));
    await Promise.all([...this.#logs.keys()].map((key) => this.#endLog(key)));
    await this.ranges.close();
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
    const { round, final, bwlimit, contentLimit, wholeMs, freshBytes } = request;
    const log = this.#options.log.child({ migration: migrationId, mount: mountIndex });
    const key = `${migrationId}/${mountIndex}`;
    const changes = isFile ? null : this.#logOf(key, root.path, final);
    const sent = await send({
      ...{ ...connection, root, stateDir, round, final, bwlimit, wholeMs, freshBytes, signal },
      contentLimit: contentLimit ?? undefined,
      onProgress: () => {},
      log: changes ?? undefined,
      audit: this.#options.auditChanges,
      onWholeScan: (reason) => log.warn({ reason }, 'the last round scans everything'),
    });
    if (final && contentLimit !== null) void this.ranges.prepare({ kind: 'ranges', migrationId, mountIndex });
    if (final) await this.#endLog(key);
    return sent;
  }

  /** A log that begins with the last round is of no use. */
  #logOf(key: string, path: string, final: boolean): ChangeLog | null {
    const known = this.#logs.get(key);
    const { followChanges, log } = this.#options;
    if (known !== undefined || final || followChanges === undefined) return known ?? null;
    let started: ChangeLog | null = null;
    try {
      started = followChanges(path);
    } catch (error) {
      log.info(
        { path, reason: CargoError.from(error).message },
        'changes are not followed: each round scans everything',
      );
    }
    this.#logs.set(key, started);
    return started;
  }

  async #endLog(key: string): Promise<void> {
    const log = this.#logs.get(key);
    this.#logs.delete(key);
    await log?.[Symbol.asyncDispose]();
  }
}

/** Where the target has no right to it any more, what it hasn't taken yet is not for it either: the kernel drops it. */
function hangUp(socket: Duplex, reason: unknown): void {
  const isForbidden = reason instanceof CargoError && reason.code === 'CANCELLED';
  if (isForbidden && socket instanceof Socket && !socket.destroyed) socket.resetAndDestroy();
}
