import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { StepInput, StepName, StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { Failure, Migration, Phase, Recovery, Round } from '../../api/migration.ts';
import { healthLimitMs } from './health-limit.ts';
import type { LiveProgress } from './live-progress.ts';
import type { MigrationStore } from './migration-store.ts';
import type { Agents, Hosts } from './ports.ts';
import { type StoredMigration, toView } from './record.ts';
import { retrying } from './retry.ts';
import { isTimeToSwitch } from './rounds.ts';

/** How long a step that fails for want of a connection, a peer or a daemon is tried again before the way back, ms. */
export type Patience = { stagingMs: number; switchingMs: number; clearingMs: number };

export type DriverPorts = {
  hosts: Hosts;
  agents: Agents;
  migrations: MigrationStore;
  log: Logger;
  patience: Patience;
};

/**
 * While the source runs a lost agent costs nothing but time; while it is stopped every second is downtime. Whoever
 * cancelled is not kept waiting for a target that is away: it is cleared afterwards.
 */
export const DEFAULT_PATIENCE: Patience = { stagingMs: 120_000, switchingMs: 45_000, clearingMs: 1_000 };
const ROLLED_BACK = 'rolled back: the container is on the source as before';
/** Between asking a target that contradicts itself: it has started, and its start has failed. */
const RECHECK_MS = 1_000;
const COPY_KEY = /^copy-/;

/**
 * Drives one migration from whatever phase its record says to `copied`, or back. Every phase is written before it is
 * acted upon and every step is idempotent at the agents, so a driver may die anywhere and the next one does the same
 * again. The one question that is asked until it is answered is whether the target has started: see `undo`.
 */
export class Driver {
  readonly #ports: DriverPorts;
  readonly #id: string;
  readonly #live: LiveProgress;
  /** Aborted by a cancel (reason: CargoError CANCELLED) or when the server stops (any other reason). */
  readonly #signal: AbortSignal;
  /** Aborted only when the server stops: a roll-back can't be cancelled. */
  readonly #shutdown: AbortSignal;

  constructor(
    ports: DriverPorts,
    id: string,
    live: LiveProgress,
    signals: { cancel: AbortSignal; shutdown: AbortSignal },
  ) {
    this.#ports = ports;
    this.#id = id;
    this.#live = live;
    this.#signal = AbortSignal.any([signals.cancel, signals.shutdown]);
    this.#shutdown = signals.shutdown;
  }

  /** Returns when the migration is out of the server's hands: copied, rolled back or failed. Throws when the server stops. */
  async run(): Promise<void> {
    const migration = await this.#get();
    if (migration.recovery?.fenced === false) return this.#recover(migration.recovery);
    if (migration.clearing) return this.#clear();
    if (migration.undoing !== null) return this.#undo(migration.undoing);
    if (migration.forgetting.length > 0) return this.#forget();
    try {
      await this.#forward(migration.phase);
    } catch (thrown) {
      this.#shutdown.throwIfAborted();
      const error = this.#signal.aborted ? CargoError.from(this.#signal.reason) : CargoError.from(thrown);
      if (beyondRetry.has(error.code)) throw error;
      this.#ports.log.warn({ migration: this.#id, code: error.code, err: error }, 'migration is rolled back');
      const failure: Failure = { code: error.code, message: error.message, details: error.details };
      await this.#update({ undoing: failure, activity: 'rolling back' });
      await this.#undo(failure);
    }
  }

  async #forward(phase: Phase): Promise<void> {
    if (phase === 'planned') await this.#update({ phase: 'staging', activity: 'staging' });
    if (phase === 'planned' || phase === 'staging') await this.#stage();
    await this.#switch();
  }

  async #stage(): Promise<void> {
    const { definition, targetId, bases } = await this.#get();
    const limits = { patienceMs: this.#ports.patience.stagingMs };
    await this.#atSource('serve', 'serve', { definition, targetHostId: targetId }, limits);
    await this.#note('making the container at the target');
    const source = await this.#sourceAddress();
    const staged = await this.#atTarget('stage', 'stage', { definition, source, bases }, limits);
    const startedAt = (await this.#get()).startedAt ?? new Date().toISOString();
    await this.#update({ targetContainerId: staged.containerId, startedAt });
    for (;;) {
      const { rounds } = await this.#get();
      if (isTimeToSwitch(rounds) || !definition.running) break;
      await this.#copy(rounds.length + 1, false, limits.patienceMs);
    }
    this.#signal.throwIfAborted();
    await this.#update({ phase: 'switching', activity: 'stopping the container' });
  }

  async #switch(): Promise<void> {
    const limits = { patienceMs: this.#ports.patience.switchingMs };
    const migration = await this.#get();
    const frozenAtMs = migration.frozenAtMs ?? Date.now();
    if (migration.frozenAtMs === null) await this.#update({ frozenAtMs });
    const freeze = { movedTo: migration.target, force: migration.force };
    const frozen = await this.#atSource('freeze', 'freeze', freeze, limits);
    await this.#update({ movedAs: frozen.movedAs, leftAtSource: frozen.bases, activity: 'copying the last changes' });
    const last = migration.rounds.at(-1);
    if (last?.final !== true) await this.#copy(migration.rounds.length + 1, true, limits.patienceMs);
    this.#signal.throwIfAborted();
    await this.#note('starting at the target');
    const healthTimeoutMs = healthLimitMs(migration.definition);
    const copyingMs = Date.now() - frozenAtMs;
    const { startMs } = await this.#start(healthTimeoutMs);
    await this.#arrive(copyingMs + startMs);
  }

  /**
   * Once this was sent the container may run at the target and serve its clients: only a definite answer of the agent
   * leads on or back, however long it takes, and a cancel comes too late.
   */
  async #start(healthTimeoutMs: number): Promise<StepOutput<'start'>> {
    const startSentAt = (await this.#get()).startSentAt ?? new Date().toISOString();
    await this.#update({ startSent: true, startSentAt });
    const limits = { patienceMs: Number.POSITIVE_INFINITY, uncancellable: true };
    return this.#atTarget('start', 'start', { healthTimeoutMs }, limits);
  }

  /** The container runs at the target, and its data is there and verified. */
  async #arrive(downtimeMs: number): Promise<void> {
    const { definition, files, bytes, targetId, bases } = await this.#get();
    await this.#update({
      phase: 'copied',
      activity: definition.running
        ? 'the container runs at the target; all its data is there'
        : 'the container is at the target, stopped as it was; all its data is there',
      downtimeMs: definition.running ? Math.round(downtimeMs) : null,
      copiedAt: new Date().toISOString(),
      files: { ...files, local: files.total, verified: files.total },
      bytes: { ...bytes, local: bytes.total, verified: bytes.total },
      undoing: null,
    });
    await this.#ports.migrations.dropBases(targetId, bases);
  }

  async #copy(round: number, final: boolean, patienceMs: number): Promise<void> {
    await this.#note(final ? 'copying the last changes' : `copying, round ${round}`);
    const { bwlimit } = await this.#get();
    const startedMs = Date.now();
    const output = await this.#atTarget('copy', `copy-${round}`, { round, final, bwlimit }, { patienceMs });
    const { rounds } = await this.#get();
    const done: Round = {
      round,
      final,
      files: output.files,
      deleted: output.deleted,
      bytes: output.bytes,
      durationMs: Date.now() - startedMs,
    };
    const whole = (total: number): Migration['files'] => ({ total, local: total, verified: total });
    await this.#update({
      rounds: [...rounds, done],
      files: whole(output.totalFiles),
      bytes: whole(output.totalBytes),
    });
    this.#live.clear();
  }

  /**
   * Back to where it was. Whatever fails on the way back is tried again until it succeeds, with what it waits for shown.
   * Once the target was told to start it must first refuse the permit for ever; only its answer lets the source resume.
   * What is left at the target is cleared when the source runs again, and a target that is away then is not waited for.
   */
  async #undo(failure: Failure): Promise<void> {
    const { phase, definition, startSent, sourceId, targetId } = await this.#get();
    while (startSent && !(await this.#hasRefused())) {
      if (await this.#hasStartedAfterAll(healthLimitMs(definition))) return;
    }
    await this.#atSource('thaw', 'thaw', {}, ON_THE_WAY_BACK);
    await this.#update({ activity: 'the container is on the source as before; clearing the target' });
    const cleared = await this.#abandon(this.#ports.patience.clearingMs).catch(() => null);
    this.#shutdown.throwIfAborted();
    await this.#update({
      phase: phase === 'planned' ? 'failed' : 'rolled-back',
      activity:
        cleared === null ? `${ROLLED_BACK}; the target is cleared as soon as it can be reached` : rolledBack(cleared),
      clearing: cleared === null,
      forgetting: [sourceId, targetId],
      error: cleared === null || cleared.kept === null ? failure : withAddition(failure, cleared.kept),
      undoing: null,
      targetContainerId: null,
      movedAs: null,
      leftAtSource: [],
    });
    if (cleared !== null) await this.#forget();
    else await this.#clear();
  }

  /** One side was given up by an operator. Decided before, for ever; the lost side is fenced whenever it is heard. */
  async #recover(recovery: Recovery): Promise<void> {
    if (recovery.at === 'target') return this.#goOnAtTarget(recovery);
    const { phase, source, target, sourceId, targetId } = await this.#get();
    const isFirst = phase !== 'recovered';
    const fenced = isFirst ? await this.#fenceIfHeard() : null;
    if (isFirst) {
      await this.#atSource('thaw', 'thaw', {}, ON_THE_WAY_BACK);
      const rest = fenced === null ? `; ${target} is fenced as soon as it is heard` : '';
      await this.#update({
        phase: 'recovered',
        activity: `recovered: the container is on ${source}${rest}`,
        undoing: null,
        targetContainerId: null,
        movedAs: null,
        leftAtSource: [],
      });
    }
    const { keptAs } = fenced ?? (await this.#fence(AFTERWARDS));
    const left = keptAs === null ? 'nothing of it is left there' : `its copy is kept there, stopped, as ${keptAs}`;
    await this.#update({
      recovery: { ...recovery, fenced: true, keptAs },
      forgetting: [sourceId, targetId],
      activity: `recovered: the container is on ${source}; ${target} has learned it, ${left}`,
    });
    await this.#forget();
  }

  async #goOnAtTarget(recovery: Recovery): Promise<void> {
    const { source, target } = await this.#get();
    const home = `recovered: the container goes on at ${target}`;
    await this.#update({ phase: 'recovered', activity: `${home}; ${source} is let go as soon as it is heard` });
    await this.#atTarget('finish', 'finish', {}, AFTERWARDS);
    const { sourceId, targetId, leftAtSource, movedAs } = await this.#get();
    await this.#atSource('release', 'release', { cleanup: false }, AFTERWARDS);
    await this.#ports.migrations.keepBases(sourceId, leftAtSource);
    await this.#update({
      recovery: { ...recovery, fenced: true, keptAs: movedAs },
      forgetting: [sourceId, targetId],
      activity: `${home}; ${source} has learned it, its copy is kept there, stopped, as ${movedAs}`,
    });
    await this.#forget();
  }

  /**
   * A host that can be heard isn't lost: it is fenced before anything else runs. Only of one that is silent the
   * operator's word must do.
   */
  async #fenceIfHeard(): Promise<StepOutput<'fence'> | null> {
    for (;;) {
      try {
        return await this.#fence({ patienceMs: 0, uncancellable: true });
      } catch (thrown) {
        this.#shutdown.throwIfAborted();
        const error = CargoError.from(thrown);
        if (removed.has(error.code)) return null;
        const { target, targetId, epoch } = await this.#get();
        const { status } = await this.#ports.hosts.get(targetId);
        if (error.code === 'AGENT_UNREACHABLE' && status === 'away') return null;
        const activity = `waiting: ${target} is still heard and must be fenced first: ${error.message}`;
        await this.#update({ epoch: epoch + 1, activity });
        await delay(RECHECK_MS, undefined, { signal: this.#shutdown });
      }
    }
  }

  async #fence(limits: StepLimits): Promise<StepOutput<'fence'>> {
    return this.#atTarget('fence', 'fence', { lostTo: (await this.#get()).source }, limits);
  }

  /** What was left of a roll-back: the target could not be reached. */
  async #clear(): Promise<void> {
    const cleared = await this.#abandon(Number.POSITIVE_INFINITY);
    await this.#update({ clearing: false, activity: rolledBack(cleared) });
    await this.#forget();
  }

  /**
   * Removes what was staged; a copy that has run there and written is kept. The target refuses the permit by that,
   * whatever may still be on its way to it.
   */
  async #abandon(patienceMs: number): Promise<Cleared> {
    const { keptAs } = await this.#atTarget('abandon', 'abandon', {}, { ...ON_THE_WAY_BACK, patienceMs });
    if (keptAs === null) return { kept: null };
    const { target } = await this.#get();
    return { kept: `what it wrote while it ran on ${target} is kept there: stopped, as ${keptAs}` };
  }

  /** False when the target answers that the container has started there. */
  async #hasRefused(): Promise<boolean> {
    try {
      await this.#atTarget('refuse', 'refuse', {}, ON_THE_WAY_BACK);
      return true;
    } catch (thrown) {
      if (CargoError.from(thrown).code !== 'TARGET_STARTED') throw thrown;
      return false;
    }
  }

  /** The target is the container's home if it is well there: then the way is forward. */
  async #hasStartedAfterAll(healthTimeoutMs: number): Promise<boolean> {
    const { epoch, frozenAtMs } = await this.#update({ epoch: (await this.#get()).epoch + 1 });
    this.#ports.log.info({ migration: this.#id, epoch }, 'the target had started: going on');
    try {
      await this.#start(healthTimeoutMs);
    } catch (error) {
      this.#shutdown.throwIfAborted();
      this.#ports.log.warn({ migration: this.#id, err: error }, 'the container that had started is not well');
      await delay(RECHECK_MS, undefined, { signal: this.#shutdown });
      return false;
    }
    await this.#arrive(Date.now() - (frozenAtMs ?? Date.now()));
    return true;
  }

  /** Nothing waits for it: an agent that is away forgets the migration when it is back. */
  async #forget(): Promise<void> {
    const { forgetting } = await this.#get();
    const left = new Set(forgetting);
    const forgetAt = async (hostId: string): Promise<void> => {
      await this.#forgetAt(hostId);
      left.delete(hostId);
      await this.#update({ forgetting: [...left] });
    };
    await Promise.all(forgetting.map(forgetAt));
  }

  async #forgetAt(hostId: string): Promise<void> {
    const isGone = ({ code }: CargoError): boolean => removed.has(code) || beyondRetry.has(code);
    const ask = async (): Promise<void> => {
      await this.#ports.agents.forget(await this.#ports.hosts.get(hostId), this.#id, this.#shutdown);
    };
    const limits = { forMs: Number.POSITIVE_INFINITY, signal: this.#shutdown };
    await retrying(ask, { ...limits, mayPass: (error) => !isGone(error) }).catch((thrown: unknown) => {
      this.#shutdown.throwIfAborted();
      this.#ports.log.info({ migration: this.#id, hostId, err: thrown }, 'agent keeps its record of a migration');
    });
  }

  async #atSource<S extends StepName>(step: S, key: string, input: StepInput<S>, limits: StepLimits) {
    return this.#step((await this.#get()).sourceId, step, key, input, limits);
  }

  async #atTarget<S extends StepName>(step: S, key: string, input: StepInput<S>, limits: StepLimits) {
    return this.#step((await this.#get()).targetId, step, key, input, limits);
  }

  /** A failed step is tried again under a higher epoch, which is what makes the agent run it anew. */
  async #step<S extends StepName>(
    hostId: string,
    step: S,
    key: string,
    input: StepInput<S>,
    limits: StepLimits,
  ): Promise<StepOutput<S>> {
    const signal = limits.uncancellable === true ? this.#shutdown : this.#signal;
    const isFinal = ({ code }: CargoError): boolean =>
      code === 'TARGET_STARTED' || beyondRetry.has(code) || code === 'MIGRATION_OVER';
    return retrying(
      async () => {
        const { epoch } = await this.#get();
        const host = await this.#ports.hosts.get(hostId);
        const request = { key, step, epoch, input };
        const onProgress = (progress: Parameters<LiveProgress['record']>[0]): void => {
          if (COPY_KEY.test(key)) this.#live.record(progress);
          void this.#notifyLive();
        };
        return this.#ports.agents.step(host, this.#id, request, { signal, onProgress });
      },
      {
        forMs: limits.patienceMs,
        signal,
        ...(limits.untilDone === true ? { mayPass: (error) => !isFinal(error) } : {}),
        onRetry: async (error) => {
          this.#ports.log.warn({ migration: this.#id, step, code: error.code, err: error }, 'step is tried again');
          this.#live.clear();
          const { epoch } = await this.#get();
          const activity = limits.quiet === true ? {} : { activity: `waiting: ${error.message}` };
          await this.#update({ epoch: epoch + 1, ...activity });
        },
      },
    );
  }

  async #notifyLive(): Promise<void> {
    const migration = await this.#ports.migrations.find(this.#id);
    if (migration !== null) this.#ports.migrations.notify(this.#live.overlay(toView(migration)));
  }

  async #sourceAddress(): Promise<StepInput<'stage'>['source']> {
    const host = await this.#ports.hosts.get((await this.#get()).sourceId);
    return { hostId: host.id, name: host.name, address: host.dataAddress };
  }

  #get(): Promise<StoredMigration> {
    return this.#ports.migrations.get(this.#id);
  }

  #update(change: Partial<StoredMigration>): Promise<StoredMigration> {
    return this.#ports.migrations.update(this.#id, change);
  }

  async #note(activity: string): Promise<void> {
    await this.#update({ activity });
  }
}

/** The host is none of Cargo's any more. */
const removed: ReadonlySet<string> = new Set(['HOST_NOT_FOUND', 'HOST_REMOVED']);
/**
 * Whatever is tried, these don't pass, and no conclusion may be drawn from them: the host is none of Cargo's any more, its
 * agent obeys a newer server, or has heard more of this migration than the Store knows.
 */
const beyondRetry: ReadonlySet<string> = new Set(['HOST_REMOVED', 'STALE_SERVER', 'STALE_EPOCH']);

/** `kept`: a sentence about what was not removed at the target. */
type Cleared = { kept: string | null };

function rolledBack({ kept }: Cleared): string {
  return kept === null ? ROLLED_BACK : `${ROLLED_BACK}; ${kept}`;
}

function withAddition(failure: Failure, addition: string): Failure {
  return { ...failure, message: `${failure.message}; ${addition}` };
}

/**
 * `untilDone`: on the way back there is nothing better to do than to try again, whatever the failure. `quiet`: the
 * migration is over, and what is still waited for is said elsewhere.
 */
type StepLimits = { patienceMs: number; uncancellable?: boolean; untilDone?: boolean; quiet?: boolean };

const ON_THE_WAY_BACK: StepLimits = { patienceMs: Number.POSITIVE_INFINITY, uncancellable: true, untilDone: true };
const AFTERWARDS: StepLimits = { ...ON_THE_WAY_BACK, quiet: true };
