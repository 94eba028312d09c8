import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { sourceMountPath } from '../container/source-paths.ts';
import type { RecordStore } from '../migrations/record-store.ts';
import { Serial } from '../migrations/serial.ts';
import type { SendRound } from '../migrations/volume-rounds.ts';

export type RoundRequest = {
  migrationId: string;
  mountIndex: number;
  round: number;
  final: boolean;
  bwlimit: number | null;
};

/** The rounds that this host is sending as a source: at most one for each mount, because they share a state directory. */
export class ServedRounds {
  readonly #options: { records: RecordStore; send: SendRound; log: Logger };
  readonly #active = new Map<string, AbortController>();
  readonly #serial = new Serial();

  constructor(options: { records: RecordStore; send: SendRound; log: Logger }) {
    this.#options = options;
  }

  /**
   * Sends one round over the connection and closes it. A round of the same mount that is still going on belongs to a
   * connection that the target gave up: it is ended first. Never throws: what goes wrong is logged and ends the connection.
   */
  async send(request: RoundRequest, socket: Duplex): Promise<void> {
    const key = `${request.migrationId}/${request.mountIndex}`;
    const stop = new AbortController();
    this.#active.get(key)?.abort(new CargoError('CANCELLED', 'the target began the round again'));
    this.#active.set(key, stop);
    const close = (): void => stop.abort(new CargoError('PEER_UNREACHABLE', 'the target closed the connection'));
    socket.once('close', close);
    try {
      await this.#serial.run(key, () => this.#sendOne(request, socket, stop.signal));
    } finally {
      socket.off('close', close);
      if (this.#active.get(key) === stop) this.#active.delete(key);
    }
  }

  /** Ends what is being sent for a migration and resolves once it has ended. */
  async end(migrationId: string): Promise<void> {
    const keys = [...this.#active.keys()].filter((key) => key.startsWith(`${migrationId}/`));
    await this.#endAll(keys, new CargoError('CANCELLED', 'the source serves this migration no more'));
  }

  /** Ends all that is being sent; the targets ask again for a while. */
  async close(): Promise<void> {
    await this.#endAll([...this.#active.keys()], new CargoError('PEER_UNREACHABLE', "the source's agent is stopping"));
  }

  async #endAll(keys: readonly string[], reason: CargoError): Promise<void> {
    for (const key of keys) this.#active.get(key)?.abort(reason);
    await Promise.all(keys.map((key) => this.#serial.run(key, async () => {})));
  }

  async #sendOne(request: RoundRequest, socket: Duplex, signal: AbortSignal): Promise<void> {
    const { records, send } = this.#options;
    const { migrationId, mountIndex, round, final, bwlimit } = request;
    const log = this.#options.log.child({ migration: migrationId, mount: mountIndex, round, final });
    try {
      signal.throwIfAborted();
      const record = records.get(migrationId);
      const isFile = record.definition?.mounts.find(({ index }) => index === mountIndex)?.isFile === true;
      const stateDir = join(records.directory(migrationId), `mount-${mountIndex}`);
      await mkdir(stateDir, { recursive: true, mode: 0o700 });
      const root = { path: sourceMountPath(record, mountIndex), isFile };
      const result = await send({ socket, root, stateDir, round, final, bwlimit, signal, onProgress: () => {} });
      socket.end();
      log.info(result, 'round sent');
    } catch (error) {
      log.warn({ err: signal.aborted ? signal.reason : error }, 'round not sent');
      socket.destroy();
    }
  }
}
