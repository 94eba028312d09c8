import { mkdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { StepCommand, StepName, StepProgress, StepReport } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import { type NamedStep, namedStep, type Side, sideOf } from '../../faults/points.ts';
import { reach } from '../../faults/reach.ts';
import type { MigrationRecord, StepOutcome } from './record.ts';
import type { RecordStore } from './record-store.ts';
import { Serial } from './serial.ts';
import { isTooLate, parseStepInput, reasonToKeep } from './step-command.ts';
import type { SourcePeer, StepContext, StepHandlers } from './step-context.ts';

/**
 * Ends by itself and is never interrupted: the container may serve its clients already, so what came of it must be known
 * before anything else is done.
 */
const UNINTERRUPTED: StepName = 'start';
/** Steps that end whatever else runs for their migration. */
const overriding: ReadonlySet<StepName> = new Set(['refuse', 'abandon', 'thaw', 'fence']);
/** Steps that only go on with what an earlier one recorded; all others mean something on a host that recorded nothing. */
const needRecord: ReadonlySet<StepName> = new Set(['freeze', 'copy', 'arm', 'start', 'hydrate', 'verify']);
const END_LIMIT_MS = 50_000;
/** Longer than any start is waited for. */
const START_LIMIT_MS = 20 * 60_000;

/** `epoch`: the highest that asked for it. */
type Running = {
  readonly key: string;
  readonly step: StepName;
  epoch: number;
  readonly stop: AbortController;
  progress: StepProgress | null;
  ended: Promise<void>;
};

export type StepRunnerOptions = {
  records: RecordStore;
  handlers: StepHandlers;
  sourcePeer: (record: MigrationRecord) => SourcePeer;
  log: Logger;
};

/**
 * Runs the steps of migrations, one at a time for each. What a step came to is durable before anybody is told, so the
 * same command can be sent again: to a step that runs it is a question, to one that ended it gives the recorded answer.
 */
export class StepRunner {
  readonly #options: StepRunnerOptions;
  readonly #running = new Map<string, Running>();
  readonly #commands = new Serial();
  readonly #shutdown = new AbortController();

  constructor(options: StepRunnerOptions) {
    this.#options = options;
  }

  /**
   * Starts the step unless it runs or has ended already. A failed step runs again for a higher epoch.
   * @throws CargoError BAD_REQUEST, STALE_EPOCH, WRONG_PHASE (another step runs), MIGRATION_NOT_FOUND, MIGRATION_OVER
   */
  async start(id: string, key: string, command: StepCommand): Promise<StepReport> {
    const input = parseStepInput(key, command);
    return this.#commands.run(id, async () => {
      const { epoch, step } = command;
      if (this.#options.records.ended(id) !== null) return this.report(id, key);
      const record = await this.#seeEpoch(id, command);
      const running = this.#running.get(id);
      if (running?.key === key) running.epoch = epoch;
      const outcome = record.outcomes[key];
      const isAnswered = outcome !== undefined && (outcome.state === 'done' || outcome.epoch >= epoch);
      if (running?.key === key || isAnswered) return this.report(id, key);
      if (isTooLate(record, step)) {
        throw new CargoError('MIGRATION_OVER', `migration ${id} was undone on this host: ${step} comes too late`);
      }
      if (running !== undefined && !overriding.has(step)) {
        throw new CargoError('WRONG_PHASE', `step ${running.key} of migration ${id} still runs`);
      }
      this.#shutdown.signal.throwIfAborted();
      this.#begin(id, key, command, input);
      return this.report(id, key);
    });
  }

  /** @throws CargoError MIGRATION_NOT_FOUND, or NOT_FOUND for a step that neither runs nor ended here: send it again */
  report(id: string, key: string): StepReport {
    const running = this.#running.get(id);
    if (running?.key === key) return { key, state: 'running', progress: running.progress, output: null, error: null };
    const ended = this.#options.records.ended(id);
    const outcome = (ended ?? this.#options.records.get(id).outcomes)[key];
    if (outcome === undefined && ended !== null) {
      throw new CargoError('MIGRATION_OVER', `migration ${id} is over on this host: step ${key} comes too late`);
    }
    if (outcome === undefined) throw new CargoError('NOT_FOUND', `step ${key} of migration ${id} is not known here`);
    return { key, state: outcome.state, progress: null, output: outcome.output, error: outcome.error };
  }

  /** The report as soon as the step has ended, or after `waitMs`. */
  async wait(id: string, key: string, waitMs: number, signal: AbortSignal): Promise<StepReport> {
    const running = this.#running.get(id);
    if (running?.key === key) await endsWithin(running.ended, waitMs, signal);
    return this.report(id, key);
  }

  /** Does work of the agent's own for a migration while no step of it runs, or not at all; steps wait meanwhile. */
  async whenIdle(id: string, work: (context: StepContext) => Promise<void>): Promise<void> {
    await this.#commands.run(id, async () => {
      if (this.#running.has(id) || this.#options.records.find(id) === null) return;
      const log = this.#options.log.child({ migration: id });
      await work(this.#context(id, () => undefined, this.#shutdown.signal, log));
    });
  }

  /**
   * Does work of the agent's own for a migration beside a step of it that leads forward; no other begins meanwhile.
   * @throws CargoError MIGRATION_NOT_FOUND; WRONG_PHASE while it is led back
   */
  async beside(id: string, work: (context: StepContext) => Promise<void>): Promise<void> {
    await this.#commands.run(id, async () => {
      this.#options.records.get(id);
      const running = this.#running.get(id);
      if (running !== undefined && overriding.has(running.step)) {
        throw new CargoError('WRONG_PHASE', `step ${running.key} of migration ${id} runs`);
      }
      const log = this.#options.log.child({ migration: id });
      await work(this.#context(id, () => undefined, this.#shutdown.signal, log));
    });
  }

  /** Drops all that is known of a migration that is over. @throws CargoError WRONG_PHASE while it isn't */
  async forget(id: string): Promise<void> {
    await this.#commands.run(id, async () => {
      const record = this.#options.records.find(id);
      if (record === null) return;
      const reason = reasonToKeep(record, this.#running.get(id)?.key ?? null);
      if (reason !== null) throw new CargoError('WRONG_PHASE', `migration ${id} can't be forgotten: ${reason}`);
      await this.#options.records.remove(id);
    });
  }

  /** Interrupts what runs without recording an outcome: the same commands make it go on after a restart. */
  async close(limitMs: number): Promise<void> {
    this.#shutdown.abort(new CargoError('AGENT_UNREACHABLE', 'the agent is stopping'));
    const ends = [...this.#running.values()].map(({ ended }) => ended);
    await endsWithin(Promise.all(ends), limitMs, AbortSignal.timeout(limitMs));
  }

  /** The epoch of a command is durable before anything is done for it. */
  async #seeEpoch(id: string, { step, epoch }: StepCommand): Promise<MigrationRecord> {
    const { records } = this.#options;
    const record = needRecord.has(step) ? records.get(id) : await records.create(id);
    if (epoch === record.epoch) return record;
    if (epoch > record.epoch) return records.update(id, (known) => ({ ...known, epoch }));
    throw new CargoError('STALE_EPOCH', `migration ${id} is driven under epoch ${record.epoch} already, not ${epoch}`);
  }

  #begin(id: string, key: string, { step, epoch }: StepCommand, input: unknown): void {
    const before = this.#running.get(id);
    if (before?.key !== UNINTERRUPTED) {
      before?.stop.abort(new CargoError('CANCELLED', `step ${before.key} gave way to ${key}`));
    }
    const running: Running = {
      key,
      step,
      epoch,
      stop: new AbortController(),
      progress: null,
      ended: Promise.resolve(),
    };
    this.#running.set(id, running);
    running.ended = this.#run(id, step, running, before, input).finally(() => {
      if (this.#running.get(id) === running) this.#running.delete(id);
    });
  }

  async #run(id: string, step: StepName, running: Running, before: Running | undefined, input: unknown): Promise<void> {
    const { key } = running;
    const log = this.#options.log.child({ migration: id, step: key });
    const signal = AbortSignal.any([running.stop.signal, this.#shutdown.signal]);
    const endLimitMs = before?.key === UNINTERRUPTED ? START_LIMIT_MS : END_LIMIT_MS;
    if (before !== undefined && !(await endsWithin(before.ended, endLimitMs, signal))) {
      log.error({ before: before.key }, 'the step could not begin: the one before it does not end');
      this.#running.set(id, before);
      return;
    }
    const point = pointsOf(step, input);
    await reach(`${point}.before`);
    const report = (progress: StepProgress): void => {
      running.progress = progress;
    };
    const ended = await this.#outcomeOf(step, this.#context(id, report, signal, log), input);
    if (ended.state === 'failed' && this.#shutdown.signal.aborted) return;
    await reach(`${point}.effect`);
    try {
      await this.#options.records.update(id, (record) => {
        const outcome: StepOutcome = { ...ended, epoch: running.epoch };
        return { ...record, outcomes: { ...record.outcomes, [key]: outcome } };
      });
      log.info({ state: ended.state }, 'step ended');
      await reach(`${point}.recorded`);
    } catch (error) {
      log.error({ err: error }, 'the outcome of a step could not be recorded: it will run again');
    }
  }

  async #outcomeOf(step: StepName, context: StepContext, input: unknown): Promise<Omit<StepOutcome, 'epoch'>> {
    context.log.info('step begins');
    const handler = this.#options.handlers[step] as (context: StepContext, input: unknown) => Promise<unknown>;
    try {
      await mkdir(context.directory, { recursive: true, mode: 0o700 });
      return { state: 'done', output: await handler(context, input), error: null };
    } catch (thrown) {
      const error = CargoError.from(context.signal.aborted ? context.signal.reason : thrown);
      context.log.warn({ err: thrown, code: error.code }, 'step failed');
      return { state: 'failed', output: null, error: error.toBody().error };
    }
  }

  #context(id: string, report: StepContext['report'], signal: AbortSignal, log: Logger): StepContext {
    const { records, sourcePeer } = this.#options;
    return {
      migrationId: id,
      directory: records.directory(id),
      log,
      signal,
      record: () => records.get(id),
      others: () => records.whole().filter((record) => record.id !== id),
      update: async (change) => {
        await records.update(id, change);
      },
      report,
      source: () => sourcePeer(records.get(id)),
    };
  }
}

function pointsOf(step: StepName, input: unknown): `${Side}.${NamedStep}` {
  const name = namedStep(step, input);
  return `${sideOf(name)}.${name}`;
}

/** Whether the work ended before the limit and before the signal. */
async function endsWithin(work: Promise<unknown>, limitMs: number, signal: AbortSignal): Promise<boolean> {
  const stop = new AbortController();
  const limit = delay(limitMs, false, { signal: AbortSignal.any([signal, stop.signal]) }).catch(() => false);
  const ended = await Promise.race([work.then(() => true), limit]);
  stop.abort();
  return ended;
}
