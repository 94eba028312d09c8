import type { Logger } from 'pino';
import type { StepInput, StepName, StepOutput } from '../../api/agent-steps.ts';
import type { CargoError } from '../../api/cargo-error.ts';
import type { LiveProgress } from './live-progress.ts';
import type { MigrationStore } from './migration-store.ts';
import type { Agents, Hosts } from './ports.ts';
import { type StoredMigration, toView } from './record.ts';
import { retrying } from './retry.ts';
import type { Turns } from './turns.ts';
import { Waiting } from './waiting.ts';

/** How long a step that fails for want of a connection, a peer or a daemon is tried again before the way back, ms. */
export type Patience = { stagingMs: number; switchingMs: number; clearingMs: number };

export type DriverPorts = {
  hosts: Hosts;
  agents: Agents;
  migrations: MigrationStore;
  log: Logger;
  patience: Patience;
  turns: Turns;
};

/**
 * While the source runs a lost agent costs nothing but time; while it is stopped every second is downtime. Whoever
 * cancelled is not kept waiting for a target that is away: it is cleared afterwards.
 */
export const DEFAULT_PATIENCE: Patience = { stagingMs: 120_000, switchingMs: 45_000, clearingMs: 1_000 };
/** Steps whose progress is that of the data. */
const DATA_KEY = /^(copy-|hydrate$)/;

/** The host is none of Cargo's any more. */
export const removed: ReadonlySet<string> = new Set(['HOST_NOT_FOUND', 'HOST_REMOVED']);
/**
 * Whatever is tried, these don't pass, and no conclusion may be drawn from them: the host is none of Cargo's any more, its
 * agent obeys a newer server, or has heard more of this migration than the Store knows.
 */
export const beyondRetry: ReadonlySet<string> = new Set(['HOST_REMOVED', 'STALE_SERVER', 'STALE_EPOCH']);

/** Nothing is to be had by waiting while data follows: the container was stopped or removed, and an operator decides. */
export const standingStill: ReadonlySet<string> = new Set(['SUSPECT', 'TARGET_REMOVED']);

/**
 * `untilDone`: on the way back there is nothing better to do than to try again, whatever the failure. `quiet`: the
 * migration is over, and what is still waited for is said elsewhere.
 */
export type StepLimits = { patienceMs: number; uncancellable?: boolean; untilDone?: boolean; quiet?: boolean };

export const ON_THE_WAY_BACK: StepLimits = {
  patienceMs: Number.POSITIVE_INFINITY,
  uncancellable: true,
  untilDone: true,
};
export const AFTERWARDS: StepLimits = { ...ON_THE_WAY_BACK, quiet: true };

/** One migration that is driven: its record, and the commands to its two agents. */
export class Hands {
  readonly #ports: DriverPorts;
  readonly id: string;
  readonly live: LiveProgress;
  /** Aborted by a cancel (reason: CargoError CANCELLED) or when the server stops (any other reason). */
  readonly signal: AbortSignal;
  /** Aborted only when the server stops: a roll-back can't be cancelled. */
  readonly shutdown: AbortSignal;

  constructor(
    ports: DriverPorts,
    id: string,
    live: LiveProgress,
    signals: { cancel: AbortSignal; shutdown: AbortSignal },
  ) {
    this.#ports = ports;
    this.id = id;
    this.live = live;
    this.signal = AbortSignal.any([signals.cancel, signals.shutdown]);
    this.shutdown = signals.shutdown;
  }

  get(): Promise<StoredMigration> {
    return this.#ports.migrations.get(this.id);
  }

  update(change: Partial<StoredMigration>): Promise<StoredMigration> {
    return this.#ports.migrations.update(this.id, change);
  }

  async note(activity: string): Promise<void> {
    await this.update({ activity });
  }

  async atSource<S extends StepName>(step: S, key: string, input: StepInput<S>, limits: StepLimits) {
    return this.#step((await this.get()).sourceId, step, key, input, limits);
  }

  async atTarget<S extends StepName>(step: S, key: string, input: StepInput<S>, limits: StepLimits) {
    return this.#step((await this.get()).targetId, step, key, input, limits);
  }

  /** A failed step is tried again under a higher epoch, which is what makes the agent run it anew. */
  async #step<S extends StepName>(
    hostId: string,
    step: S,
    key: string,
    input: StepInput<S>,
    limits: StepLimits,
  ): Promise<StepOutput<S>> {
    const signal = limits.uncancellable === true ? this.shutdown : this.signal;
    const isFinal = ({ code }: CargoError): boolean =>
      code === 'TARGET_STARTED' || beyondRetry.has(code) || code === 'MIGRATION_OVER' || standingStill.has(code);
    const waiting = new Waiting(this, limits.quiet === true);
    const onLost = (error: CargoError): void => {
      this.live.lose();
      waiting.show(error);
    };
    const options = {
      signal,
      lostMs: limits.patienceMs,
      onProgress: (progress: Parameters<LiveProgress['record']>[0]): void => {
        if (DATA_KEY.test(key)) this.live.record(progress);
        void this.#notifyLive();
      },
      onHeard: () => waiting.end(),
      onLost,
    };
    try {
      return await retrying(
        async () => {
          const { epoch } = await this.get();
          const host = await this.#ports.hosts.get(hostId);
          const output = await this.#ports.agents.step(host, this.id, { key, step, epoch, input }, options);
          waiting.end();
          return output;
        },
        {
          forMs: limits.patienceMs,
          signal,
          ...(limits.untilDone === true ? { mayPass: (error) => !isFinal(error) } : {}),
          onRetry: async (error) => {
            this.#ports.log.warn({ migration: this.id, step, code: error.code, err: error }, 'step is tried again');
            onLost(error);
            const { epoch } = await this.get();
            await this.update({ epoch: epoch + 1 });
          },
        },
      );
    } finally {
      await waiting.written();
    }
  }

  async #notifyLive(): Promise<void> {
    const migration = await this.#ports.migrations.find(this.id);
    if (migration !== null) this.#ports.migrations.notify(this.live.overlay(toView(migration)));
  }

  /** Nothing waits for it: an agent that is away forgets the migration when it is back. */
  async forget(): Promise<void> {
    const { forgetting } = await this.get();
    const left = new Set(forgetting);
    const forgetAt = async (hostId: string): Promise<void> => {
      await this.#forgetAt(hostId);
      left.delete(hostId);
      await this.update({ forgetting: [...left] });
    };
    await Promise.all(forgetting.map(forgetAt));
  }

  async #forgetAt(hostId: string): Promise<void> {
    const isGone = ({ code }: CargoError): boolean => removed.has(code) || beyondRetry.has(code);
    const ask = async (): Promise<void> => {
      await this.#ports.agents.forget(await this.#ports.hosts.get(hostId), this.id, this.shutdown);
    };
    const limits = { forMs: Number.POSITIVE_INFINITY, signal: this.shutdown };
    await retrying(ask, { ...limits, mayPass: (error) => !isGone(error) }).catch((thrown: unknown) => {
      this.shutdown.throwIfAborted();
      this.#ports.log.info({ migration: this.id, hostId, err: thrown }, 'agent keeps its record of a migration');
    });
  }
}
