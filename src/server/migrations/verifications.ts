import { CargoError } from '../../api/cargo-error.ts';
import type { Verification } from '../../api/migration.ts';
import type { DriverPorts } from './hands.ts';
import type { StoredMigration } from './record.ts';

type Running = { stop: AbortController; done: Promise<void> };

/** The verifications that this server runs; what each came to stands in the record of its migration. */
export class Verifications {
  readonly #ports: DriverPorts;
  readonly #running = new Map<string, Running>();

  constructor(ports: DriverPorts) {
    this.#ports = ports;
  }

  /** @throws CargoError WRONG_PHASE, MIGRATION_NOT_FOUND */
  async begin(id: string): Promise<StoredMigration> {
    const { migrations } = this.#ports;
    const before = await migrations.get(id);
    if (before.phase !== 'copied' || before.completing) throw nothingToCompare(before);
    this.refuseWhileRunning(id);
    const stop = new AbortController();
    const running: Running = { stop, done: Promise.resolve() };
    this.#running.set(id, running);
    try {
      const verification: Verification = { ...nothingYet, startedAt: new Date().toISOString() };
      const migration = await migrations.update(id, { verification, epoch: before.epoch + 1 });
      running.done = this.#run(migration, verification, stop.signal).finally(() => this.#running.delete(id));
      return migration;
    } catch (error) {
      this.#running.delete(id);
      throw error;
    }
  }

  /** The source must not be let go while its data is compared. @throws CargoError WRONG_PHASE */
  refuseWhileRunning(id: string): void {
    if (!this.#running.has(id)) return;
    throw new CargoError(
      'WRONG_PHASE',
      'its data is being verified just now: `cargoctl status CONTAINER` shows when that has ended',
    );
  }

  /** Those of a server that died: nobody waits for their outcome any more. */
  async endLeftovers(): Promise<void> {
    const { migrations } = this.#ports;
    for (const { id, verification } of await migrations.list()) {
      if (verification?.state !== 'running') continue;
      const error = { code: 'SERVER_UNREACHABLE', message: 'the server was restarted meanwhile: verify it again' };
      await migrations.update(id, { verification: ended(verification, { state: 'unfinished', error }) });
    }
  }

  async close(): Promise<void> {
    for (const { stop } of this.#running.values()) {
      stop.abort(new CargoError('SERVER_UNREACHABLE', 'the server is stopping: verify it again'));
    }
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #run({ id, targetId, epoch }: StoredMigration, begun: Verification, signal: AbortSignal): Promise<void> {
    const { hosts, agents, migrations, log } = this.#ports;
    let outcome: Partial<Verification>;
    try {
      const request = { key: `verify-${epoch}`, step: 'verify', epoch, input: {} } as const;
      const found = await agents.step(await hosts.get(targetId), id, request, { signal, onProgress: () => undefined });
      outcome = { ...found, state: found.differences === 0 ? 'passed' : 'failed' };
    } catch (thrown) {
      const { code, message } = CargoError.from(signal.aborted ? signal.reason : thrown);
      outcome = { state: 'unfinished', error: { code, message } };
    }
    log.info({ migration: id, ...outcome }, 'verification has ended');
    await migrations
      .update(id, { verification: ended(begun, outcome) })
      .catch((error: unknown) => log.error({ migration: id, err: error }, 'a verification could not be recorded'));
  }
}

const nothingYet = {
  state: 'running',
  endedAt: null,
  files: 0,
  bytes: 0,
  changed: 0,
  differences: 0,
  differing: [],
  error: null,
} satisfies Omit<Verification, 'startedAt'>;

function ended(begun: Verification, outcome: Partial<Verification>): Verification {
  return { ...begun, ...outcome, endedAt: new Date().toISOString() };
}

function nothingToCompare({ container, phase }: StoredMigration): CargoError {
  const why =
    phase === 'completed'
      ? 'the source was let go, there is nothing left to compare with: verify before `cargoctl failover`'
      : 'there is something to compare only once its data is copied (phase copied)';
  return new CargoError('WRONG_PHASE', `${container} is in phase ${phase}: ${why}`);
}
