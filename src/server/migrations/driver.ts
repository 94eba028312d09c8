import { setTimeout as delay } from 'node:timers/promises';
import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { Failure, Migration, Phase, Round } from '../../api/migration.ts';
import { beyondRetry, type DriverPorts, type Hands, ON_THE_WAY_BACK, removed, standingStill } from './hands.ts';
import { healthLimitMs } from './health-limit.ts';
import type { StoredMigration } from './record.ts';
import { RecoveryDriver } from './recovery-driver.ts';
import { freshBytes, isTimeToSwitch, precopyEnd } from './rounds.ts';
import { addSwitchTimes } from './switch-times.ts';

const ROLLED_BACK = 'rolled back: the container is on the source as before';
/** Between asking a target that contradicts itself: it has started, and its start has failed. */
const RECHECK_MS = 1_000;

/**
 * Drives one migration from whatever phase its record says to `copied`, or back. Every phase is written before it is
 * acted upon and every step is idempotent at the agents, so a driver may die anywhere and the next one does the same
 * again. The one question that is asked until it is answered is whether the target has started: see `undo`.
 */
export class Driver {
  readonly #ports: DriverPorts;
  readonly #hands: Hands;

  constructor(ports: DriverPorts, hands: Hands) {
    this.#ports = ports;
    this.#hands = hands;
  }

  /** Returns when the migration is out of the server's hands: copied, rolled back or failed. Throws when the server stops. */
  async run(): Promise<void> {
    const migration = await this.#hands.get();
    if (migration.recovery?.fenced === false)
      return new RecoveryDriver(this.#ports, this.#hands).run(migration.recovery);
    if (migration.clearing) return this.#clear();
    if (migration.undoing !== null) await this.#undo(migration.undoing);
    else if (migration.forgetting.length > 0) return this.#hands.forget();
    else if (migration.phase !== 'hydrating') await this.#forwardOrBack(migration.phase);
    // From there nothing leads back, whichever way led there.
    if ((await this.#hands.get()).phase === 'hydrating') await this.#hydrate();
  }

  async #forwardOrBack(phase: Phase): Promise<void> {
    try {
      await this.#forward(phase);
    } catch (thrown) {
      this.#ports.turns.leave(this.#hands.id);
      this.#hands.shutdown.throwIfAborted();
      const isCancelled = this.#hands.signal.aborted;
      const error = CargoError.from(isCancelled ? this.#hands.signal.reason : thrown);
      if (!isCancelled && beyondRetry.has(error.code)) throw error;
      const { startSent } = await this.#hands.get();
      if (!isCancelled && startSent && standingStill.has(error.code)) return this.#arrive(null, null);
      this.#ports.log.warn({ migration: this.#hands.id, code: error.code, err: error }, 'migration is rolled back');
      const failure: Failure = { code: error.code, message: error.message, details: error.details };
      await this.#hands.update({ undoing: failure, activity: 'rolling back' });
      await this.#undo(failure);
    }
  }

  async #forward(phase: Phase): Promise<void> {
    await this.#takeTurn();
    if (phase === 'planned') await this.#hands.update({ phase: 'staging', activity: 'staging' });
    if (phase === 'planned' || phase === 'staging') await this.#stage();
    await this.#switch();
  }

  /** Before anything is touched; what was begun before the server was started goes on at once. */
  async #takeTurn(): Promise<void> {
    const migration = await this.#hands.get();
    const { turns } = this.#ports;
    if (migration.phase !== 'planned') turns.keep(migration);
    else await turns.take(migration, (activity) => this.#hands.note(activity), this.#hands.signal);
  }

  async #stage(): Promise<void> {
    const { definition, targetId, bases } = await this.#hands.get();
    const limits = { patienceMs: this.#ports.patience.stagingMs };
    await this.#hands.atSource('serve', 'serve', { definition, targetHostId: targetId }, limits);
    await this.#hands.note('making the container at the target');
    const source = await this.#sourceAddress();
    const staged = await this.#hands.atTarget('stage', 'stage', { definition, source, bases }, limits);
    const startedAt = (await this.#hands.get()).startedAt ?? new Date().toISOString();
    await this.#hands.update({ targetContainerId: staged.containerId, startedAt });
    for (;;) {
      const { rounds } = await this.#hands.get();
      if (isTimeToSwitch(rounds) || !definition.running) break;
      await this.#hands.update(await this.#copy(rounds.length + 1, false, limits.patienceMs));
      this.#hands.live.clear();
    }
    this.#hands.signal.throwIfAborted();
    await this.#hands.update({ phase: 'switching', activity: 'stopping the container' });
  }

  async #switch(): Promise<void> {
    const limits = { patienceMs: this.#ports.patience.switchingMs };
    const migration = await this.#hands.get();
    const frozenAtMs = migration.frozenAtMs ?? Date.now();
    if (migration.frozenAtMs === null) await this.#hands.update({ frozenAtMs });
    const freeze = { movedTo: migration.target, force: migration.force };
    const frozen = await this.#hands.atSource('freeze', 'freeze', freeze, limits);
    await this.#hands.update({
      movedAs: frozen.movedAs,
      leftAtSource: frozen.bases,
      switchTimes: addSwitchTimes(migration.switchTimes, { freeze: frozen }),
      activity: 'copying the last changes',
    });
    const last = migration.rounds.at(-1);
    // Written with the start: each write is downtime, and asked again the target says the same.
    const copied = last?.final === true ? {} : await this.#copy(migration.rounds.length + 1, true, limits.patienceMs);
    this.#hands.signal.throwIfAborted();
    let armed: StepOutput<'arm'> | null = null;
    if (hasLazy(migration)) {
      const { bwlimit, paused } = await this.#hands.get();
      armed = await this.#hands.atTarget('arm', 'arm', { bwlimit, paused }, limits);
      this.#hands.signal.throwIfAborted();
    }
    const healthTimeoutMs = healthLimitMs(migration.definition);
    const copyingMs = Date.now() - frozenAtMs;
    const started = await this.#start(healthTimeoutMs, armed, copied);
    await this.#arrive(copyingMs + started.startMs, started);
  }

  /**
   * Once this was sent the container may run at the target and serve its clients: only a definite answer of the agent
   * leads on or back, however long it takes, and a cancel comes too late.
   */
  async #start(
    healthTimeoutMs: number,
    arm: StepOutput<'arm'> | null,
    copied: Partial<StoredMigration>,
  ): Promise<StepOutput<'start'>> {
    // All is copied: nobody waits for a target that may be away for days, nor for data that follows.
    this.#ports.turns.leave(this.#hands.id);
    const known = await this.#hands.get();
    await this.#hands.update({
      ...copied,
      startSent: true,
      startSentAt: known.startSentAt ?? new Date().toISOString(),
      switchTimes: addSwitchTimes(copied.switchTimes ?? known.switchTimes, { arm }),
      activity: 'starting at the target',
    });
    this.#hands.live.clear();
    const limits = { patienceMs: Number.POSITIVE_INFINITY, uncancellable: true };
    return this.#hands.atTarget('start', 'start', { healthTimeoutMs }, limits);
  }

  /** The container is at home at the target. Nulls where it served there and was stopped before its start was known to be good. */
  async #arrive(downtimeMs: number | null, start: StepOutput<'start'> | null): Promise<void> {
    const migration = await this.#hands.get();
    const { definition, targetId, bases } = migration;
    const downtime = {
      downtimeMs: definition.running && downtimeMs !== null ? Math.round(downtimeMs) : null,
      switchTimes: addSwitchTimes(migration.switchTimes, { start }),
      undoing: null,
    };
    if (hasLazy(migration)) {
      const activity = 'the container runs at the target; its data follows';
      // How much of it is here the target says next; until then nothing is claimed.
      const here = { local: 0, verified: 0 };
      const amounts = { files: { ...migration.files, ...here }, bytes: { ...migration.bytes, ...here } };
      await this.#hands.update({ ...downtime, ...amounts, phase: 'hydrating', activity });
    } else await this.#hands.update({ ...downtime, ...allThere(migration) });
    await this.#ports.migrations.dropBases(targetId, bases);
  }

  /**
   * The container runs: whatever keeps its data from following is waited for. Only where the protection of what is missing
   * was lost, or somebody removed it, nothing can be had by waiting: an operator decides how it goes on. The source never
   * starts by itself: what clients wrote at the target would be lost without anybody's word.
   */
  async #hydrate(): Promise<void> {
    try {
      await this.#hands.atTarget('hydrate', 'hydrate', {}, ON_THE_WAY_BACK);
    } catch (thrown) {
      this.#hands.shutdown.throwIfAborted();
      const { code, message, details } = CargoError.from(thrown);
      if (!standingStill.has(code)) throw thrown;
      const activity = code === 'SUSPECT' ? `stopped at the target: ${message}` : message;
      await this.#hands.update({ error: { code, message, details }, activity });
      return;
    }
    this.#hands.live.clear();
    await this.#hands.update({ ...allThere(await this.#hands.get()), hydration: [], paused: false, error: null });
  }

  /** What is to be written down of it. */
  async #copy(round: number, final: boolean, patienceMs: number): Promise<Partial<StoredMigration>> {
    // Before the last round this was written with the freeze: each write is durable, and now it is downtime.
    if (!final) await this.#hands.note(`copying, round ${round}`);
    const migration = await this.#hands.get();
    const { bwlimit } = migration;
    const startedMs = Date.now();
    const wholeMs = final ? 0 : Math.max(0, precopyEnd(migration) - startedMs);
    const input = { round, final, bwlimit, wholeMs, freshBytes: freshBytes(migration, final) };
    const output = await this.#hands.atTarget('copy', `copy-${round}`, input, { patienceMs });
    const { rounds, switchTimes } = await this.#hands.get();
    const done: Round = {
      round,
      final,
      files: output.files,
      deleted: output.deleted,
      bytes: output.bytes,
      durationMs: Date.now() - startedMs,
    };
    const whole = (total: number): Migration['files'] => ({ total, local: total, verified: total });
    return {
      rounds: [...rounds, done],
      switchTimes: addSwitchTimes(switchTimes, { copy: final ? output : null }),
      files: whole(output.totalFiles),
      bytes: whole(output.totalBytes),
    };
  }

  /**
   * Back to where it was. Whatever fails on the way back is tried again until it succeeds, with what it waits for shown.
   * Once the target was told to start it must first refuse the permit for ever; only its answer lets the source resume.
   * What is left at the target is cleared when the source runs again, and a target that is away then is not waited for.
   * Where it turns out that the container has come up there, the way is forward.
   */
  async #undo(failure: Failure): Promise<void> {
    const { phase, definition, startSent, sourceId, targetId } = await this.#hands.get();
    try {
      while (startSent && !(await this.#hasRefused())) {
        if (await this.#hasStartedAfterAll(healthLimitMs(definition))) return;
      }
    } catch (thrown) {
      if (!standingStill.has(CargoError.from(thrown).code)) throw thrown;
      return this.#arrive(null, null);
    }
    await this.#hands.atSource('thaw', 'thaw', {}, ON_THE_WAY_BACK);
    await this.#hands.update({ activity: 'the container is on the source as before; clearing the target' });
    const cleared = await this.#abandon(this.#ports.patience.clearingMs).catch(() => null);
    this.#hands.shutdown.throwIfAborted();
    await this.#hands.update({
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
    if (cleared !== null) await this.#hands.forget();
    else await this.#clear();
  }

  /** What was left of a roll-back: the target could not be reached. */
  async #clear(): Promise<void> {
    // Who removes the host gives that up, and says so.
    const cleared = await this.#abandon(Number.POSITIVE_INFINITY).catch((thrown: unknown) => {
      if (removed.has(CargoError.from(thrown).code)) return null;
      throw thrown;
    });
    await this.#hands.update({ clearing: false, ...(cleared === null ? {} : { activity: rolledBack(cleared) }) });
    await this.#hands.forget();
  }

  /**
   * Removes what was staged; a copy that has run there and written is kept. The target refuses the permit by that,
   * whatever may still be on its way to it.
   */
  async #abandon(patienceMs: number): Promise<Cleared> {
    const { keepStaged, target, targetId } = await this.#hands.get();
    const limits = { ...ON_THE_WAY_BACK, patienceMs };
    const { keptAs, bases } = await this.#hands.atTarget('abandon', 'abandon', { keepStaged }, limits);
    if (bases.length > 0) {
      await this.#ports.migrations.keepBases(targetId, bases);
      const names = bases.map(({ name }) => name).join(', ');
      return { kept: `what was copied is kept on ${target} for another try: ${names}` };
    }
    if (keptAs === null) return { kept: null };
    return { kept: `what it wrote while it ran on ${target} is kept there: stopped, as ${keptAs}` };
  }

  /** False when the target answers that the container has started there. */
  async #hasRefused(): Promise<boolean> {
    try {
      await this.#hands.atTarget('refuse', 'refuse', {}, ON_THE_WAY_BACK);
      return true;
    } catch (thrown) {
      if (CargoError.from(thrown).code !== 'TARGET_STARTED') throw thrown;
      return false;
    }
  }

  /** The target is the container's home if it is well there: then the way is forward. */
  async #hasStartedAfterAll(healthTimeoutMs: number): Promise<boolean> {
    const { epoch, frozenAtMs } = await this.#hands.update({ epoch: (await this.#hands.get()).epoch + 1 });
    this.#ports.log.info({ migration: this.#hands.id, epoch }, 'the target had started: going on');
    let started: StepOutput<'start'>;
    try {
      started = await this.#start(healthTimeoutMs, null, {});
    } catch (error) {
      this.#hands.shutdown.throwIfAborted();
      if (standingStill.has(CargoError.from(error).code)) throw error;
      this.#ports.log.warn({ migration: this.#hands.id, err: error }, 'the container that had started is not well');
      await delay(RECHECK_MS, undefined, { signal: this.#hands.shutdown });
      return false;
    }
    await this.#arrive(Date.now() - (frozenAtMs ?? Date.now()), started);
    return true;
  }

  async #sourceAddress(): Promise<StepInput<'stage'>['source']> {
    const host = await this.#ports.hosts.get((await this.#hands.get()).sourceId);
    return { hostId: host.id, name: host.name, address: host.dataAddress };
  }
}

const hasLazy = ({ definition }: StoredMigration): boolean =>
  definition.mounts.some(({ strategy }) => strategy === 'lazy');

/** All data is at the target, and verified. */
function allThere({ definition, files, bytes }: StoredMigration): Partial<StoredMigration> {
  return {
    phase: 'copied',
    activity: definition.running
      ? 'the container runs at the target; all its data is there'
      : 'the container is at the target, stopped as it was; all its data is there',
    copiedAt: new Date().toISOString(),
    files: { ...files, local: files.total, verified: files.total },
    bytes: { ...bytes, local: bytes.total, verified: bytes.total },
  };
}

/** `kept`: a sentence about what was not removed at the target. */
type Cleared = { kept: string | null };

function rolledBack({ kept }: Cleared): string {
  return kept === null ? ROLLED_BACK : `${ROLLED_BACK}; ${kept}`;
}

function withAddition(failure: Failure, addition: string): Failure {
  return { ...failure, message: `${failure.message}; ${addition}` };
}
