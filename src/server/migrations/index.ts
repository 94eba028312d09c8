import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import type { Host } from '../../api/host.ts';
import {
  type FailoverOptions,
  MigrateOptions,
  type Migration,
  openPhases,
  type Phase,
  type RecoverOptions,
  runningAtTarget,
  type Side,
  undecidedPhases,
} from '../../api/migration.ts';
import type { Plan } from '../../api/plan.ts';
import { forgetRestore, wasRestored } from '../store/restored.ts';
import type { Store } from '../store/store.ts';
import { Driver } from './driver.ts';
import { completeMigration } from './failover.ts';
import { DEFAULT_PATIENCE, Hands, type Patience } from './hands.ts';
import { Holds } from './holds.ts';
import { HostUse } from './host-use.ts';
import { LiveProgress } from './live-progress.ts';
import { MigrationStore } from './migration-store.ts';
import { newMigration } from './new-migration.ts';
import { basesFor, blankPlan, makePlan, refuseBlocked } from './planner.ts';
import type { Agents, Hosts } from './ports.ts';
import { type AskRecords, Rebuilder } from './rebuild.ts';
import { hasWork, type StoredMigration, toView } from './record.ts';
import { decideRecovery, isHomeAtTarget } from './recover.ts';
import {
  decidedOtherwise,
  failureOf,
  isPastReturn,
  nothingFollows,
  nothingRests,
  stillFollowing,
  stillUnderWay,
  tooLate,
} from './refusals.ts';
import type { MigrationService } from './service.ts';
import { Turns } from './turns.ts';
import { Verifications } from './verifications.ts';
import { WAITING } from './waiting.ts';

export type MigrationsPorts = {
  store: Store;
  hosts: Hosts;
  agents: Agents;
  log: Logger;
  patience?: Patience;
  /** So many migrations copy from or to one host at once. */
  perHost?: number;
  records?: AskRecords;
};

export type Migrations = MigrationService & {
  /** Takes every open migration up again; called once, when the server starts. */
  resume(): Promise<void>;
  /** Stops driving; what is open goes on with the next server. */
  close(): Promise<void>;
};

type Running = { live: LiveProgress; cancel: AbortController; halt: AbortController; done: Promise<void> };

export function createMigrations(wired: MigrationsPorts): Migrations {
  const { store, hosts, agents, log, patience = DEFAULT_PATIENCE, records = async () => [], perHost } = wired;
  const turns = new Turns(perHost);
  const migrations = new MigrationStore(store);
  const ports = { hosts, agents, migrations, log, patience, turns };
  const hostUse = new HostUse(migrations, cancelFor);
  const running = new Map<string, Running>();
  const verifications = new Verifications(ports);
  const shutdown = new AbortController();
  /** Migrations that somebody is ending just now, by failover or recover. */
  const ending = new Set<string>();
  const holds = new Holds(store);
  const resumed = Promise.withResolvers<void>();
  const rebuilder = new Rebuilder({
    ...{ hosts, migrations, holds, log, signal: shutdown.signal, drive },
    ask: records,
    isDriven: (id) => running.has(id) || ending.has(id),
    begin: async (id, definition, source, target) => {
      const bases = basesFor(definition, await migrations.basesOf(target.id));
      const options = MigrateOptions.parse({ container: definition.name, target: target.name });
      return {
        ...newMigration({ plan: blankPlan(definition, source, target), definition, source, target, bases }, options),
        id,
      };
    },
  });

  /** Before the first migration from or to a host begins: it may have records of one that the Store has lost. */
  async function hearFirst(host: Host, signal: AbortSignal): Promise<void> {
    if (rebuilder.hasHeard(host.id)) return;
    await rebuilder.reported(host.id, await records(host, signal));
  }

  function drive(id: string): void {
    const live = new LiveProgress();
    const cancel = new AbortController();
    const halt = new AbortController();
    const stop = AbortSignal.any([shutdown.signal, halt.signal]);
    const driver = new Driver(ports, new Hands(ports, id, live, { cancel: cancel.signal, shutdown: stop }));
    const done = driver
      .run()
      .catch((error: unknown) => {
        if (stop.aborted) return;
        log.error({ migration: id, err: error }, 'migration stands still');
        if (CargoError.from(error).code === 'STALE_EPOCH') return holds.add(id);
      })
      .finally(() => {
        turns.leave(id);
        running.delete(id);
      });
    running.set(id, { live, cancel, halt, done });
  }

  async function endingAlone<T>(id: string, work: () => Promise<T>): Promise<T> {
    if (ending.has(id)) throw new CargoError('WRONG_PHASE', `migration ${id} is being ended just now: ask again`);
    ending.add(id);
    try {
      return await work();
    } finally {
      ending.delete(id);
    }
  }

  /** Stops the driver where there is one, decides, and lets the next one act upon it. */
  async function decide(id: string, options: RecoverOptions): Promise<void> {
    const active = running.get(id);
    active?.halt.abort(new CargoError('CANCELLED', 'an operator decides how it goes on'));
    await active?.done;
    try {
      if (holds.has(id)) await supposeStarted(await migrations.get(id));
      const migration = await migrations.get(id);
      const recovery = decideRecovery(migration, options, await lostHost(migration, options.at));
      await migrations.update(id, { recovery, epoch: migration.epoch + 1 });
      await holds.remove(id);
      log.warn({ migration: id, recovery }, 'one side was given up');
    } finally {
      if (hasWork(await migrations.get(id))) drive(id);
    }
  }

  /** What has become of it since the backup isn't known, and one side that knew is lost: the worst counts. */
  async function supposeStarted(migration: StoredMigration): Promise<void> {
    const epoch = await rebuilder.highestEpoch(migration);
    const isOpen = undecidedPhases.includes(migration.phase);
    const supposed = isOpen ? ({ phase: 'switching', startSent: true } as const) : {};
    await migrations.adopt({ ...migration, epoch, ...supposed }, migration);
  }

  async function lostHost(migration: StoredMigration, at: Side): Promise<Host> {
    return hosts.get(at === 'source' ? migration.targetId : migration.sourceId);
  }

  /** A host that is removed between the plan and the record takes no part any more. */
  async function refuseLeaving(migration: StoredMigration): Promise<void> {
    try {
      hostUse.refuseLeaving(migration);
    } catch (thrown) {
      const { error } = CargoError.from(thrown).toBody();
      await migrations.update(migration.id, { phase: 'failed', activity: 'failed: nothing was touched', error });
      throw thrown;
    }
  }

  /** What has become of them since the backup, their hosts alone know. */
  async function holdAll(): Promise<void> {
    for (const migration of await migrations.list()) {
      if (migration.phase === 'copied' || hasWork(migration)) await holds.add(migration.id);
    }
    await forgetRestore(store);
    log.warn({ migrations: holds.ids() }, 'the server was restored from a backup: it asks the hosts what they know');
  }

  function refuseHeld({ id, container, activity }: StoredMigration): void {
    if (holds.has(id)) throw new CargoError('WRONG_PHASE', `nothing can be done for ${container} now: ${activity}`);
  }

  function view(stored: StoredMigration): Migration {
    const live = running.get(stored.id)?.live;
    return live === undefined ? toView(stored) : live.overlay(toView(stored));
  }

  /** Resolves with the first state for which `test` holds; rejects when the signal aborts. */
  async function until(id: string, test: (migration: Migration) => boolean, signal: AbortSignal): Promise<Migration> {
    const over = new AbortController();
    const ended = Promise.withResolvers<Migration>();
    const stop = AbortSignal.any([signal, shutdown.signal]);
    stop.addEventListener('abort', () => ended.reject(stop.reason), { once: true, signal: over.signal });
    migrations.subscribe((migration) => {
      if (migration.id === id && test(migration)) ended.resolve(migration);
    }, over.signal);
    try {
      const now = toView(await migrations.get(id));
      if (test(now)) return now;
      return await ended.promise;
    } finally {
      over.abort();
    }
  }

  /** Resolves once the source runs as before. @throws CargoError WRONG_PHASE when it is too late */
  async function cancelFor(id: string, reason: CargoError): Promise<Migration> {
    const before = await migrations.get(id);
    refuseHeld(before);
    const active = running.get(id);
    if (!undecidedPhases.includes(before.phase) || active === undefined || isPastReturn(before)) throw tooLate(before);
    active.cancel.abort(reason);
    const limit = AbortSignal.timeout(CANCEL_LIMIT_MS);
    const ended = await until(id, ({ phase }) => !undecidedPhases.includes(phase), limit).catch(
      async (error: unknown) => {
        throw limit.aborted ? stillUnderWay(await migrations.get(id)) : error;
      },
    );
    if (runningAtTarget.includes(ended.phase)) throw tooLate(ended);
    return ended;
  }

  return {
    async plan(options: MigrateOptions, signal: AbortSignal): Promise<Plan> {
      return (await makePlan(ports, options, signal)).plan;
    },

    async begin(options, signal) {
      const planned = await makePlan(ports, options, signal);
      refuseBlocked(planned.plan);
      for (const host of [planned.source, planned.target]) await hearFirst(host, signal);
      const migration = newMigration(planned, options);
      await migrations.create(migration);
      await refuseLeaving(migration);
      drive(migration.id);
      return toView(migration);
    },

    async get(id) {
      return view(await migrations.get(id));
    },

    async list(filter) {
      const all = await migrations.list();
      return all.filter((migration) => fits(migration, filter)).map(view);
    },

    async latestOf(container) {
      const [newest] = (await migrations.list()).filter((migration) => names(migration, container));
      if (newest !== undefined) return view(newest);
      throw new CargoError('MIGRATION_NOT_FOUND', `${container} has not been migrated`);
    },

    async untilRunning(id, signal) {
      const ended = await until(id, ({ phase }) => !undecidedPhases.includes(phase), signal);
      if (runningAtTarget.includes(ended.phase) || ended.recovery?.at === 'target') return ended;
      throw failureOf(ended);
    },

    async failover(id, options: FailoverOptions) {
      verifications.refuseWhileRunning(id);
      const now = await migrations.get(id);
      refuseHeld(now);
      if (now.phase === 'hydrating') throw stillFollowing(view(now));
      return toView(await endingAlone(id, () => completeMigration(ports, id, options, shutdown.signal)));
    },

    cancel: (id) => cancelFor(id, new CargoError('CANCELLED', 'cancelled by an operator')),

    async control(id, { bwlimit, paused }) {
      const before = await migrations.get(id);
      refuseHeld(before);
      if (!openPhases.includes(before.phase)) throw nothingFollows(before);
      if (paused === true && before.strategy === 'precopy') throw nothingRests(before);
      const control = { bwlimit: bwlimit === undefined ? before.bwlimit : bwlimit, paused: paused ?? before.paused };
      // The agent first: what it keeps on its disk is what holds, and where it is away nothing is changed.
      if (before.phase === 'hydrating') {
        await agents.controlHydration(await hosts.get(before.targetId), id, control, shutdown.signal);
      }
      const after = await migrations.update(id, control);
      return view(after);
    },

    verify: async (id) => toView(await verifications.begin(id)),

    leave: (host, options) => hostUse.leave(host, options),

    async recover(id, options) {
      const before = await migrations.get(id);
      if (before.recovery === null) {
        const supposed = holds.has(id) && undecidedPhases.includes(before.phase);
        const worst: StoredMigration = supposed ? { ...before, phase: 'switching', startSent: true } : before;
        decideRecovery(worst, options, await lostHost(before, options.at));
        await endingAlone(id, () => decide(id, options));
      } else if (before.recovery.at !== options.at) throw decidedOtherwise(before);
      const limit = AbortSignal.timeout(RECOVER_LIMIT_MS);
      return until(id, ({ phase }) => phase === 'recovered', limit).catch(async (error: unknown) => {
        throw limit.aborted ? stillUnderWay(await migrations.get(id)) : error;
      });
    },

    async mayRun(hostId, ids) {
      const asked = await Promise.all(ids.map((id) => migrations.find(id)));
      return asked.flatMap((found) => (found?.targetId === hostId && isHomeAtTarget(found) ? [found.id] : []));
    },

    reported(hostId, known) {
      const done = resumed.promise.then(() => rebuilder.reported(hostId, known));
      done.catch((error: unknown) => {
        if (!shutdown.signal.aborted) log.error({ hostId, err: error }, 'what a host knows could not be taken in');
      });
    },

    subscribe: (listener, signal) => migrations.subscribe(listener, signal),

    async resume() {
      await holds.load();
      await verifications.endLeftovers();
      if (await wasRestored(store)) await holdAll();
      const open = (await migrations.list()).toReversed();
      // Those that copy already come before those that wait.
      const isUnderWay = ({ phase, startSent, undoing }: StoredMigration): boolean =>
        (phase === 'staging' || phase === 'switching') && !startSent && undoing === null;
      for (const migration of open) if (isUnderWay(migration) && !holds.has(migration.id)) turns.keep(migration);
      for (const migration of open) {
        if (!hasWork(migration) || holds.has(migration.id)) continue;
        // What the last server waited for, this one may find without waiting.
        const activity = migration.activity.startsWith(WAITING) ? 'taken up again' : migration.activity;
        await migrations.update(migration.id, { epoch: migration.epoch + 1, activity });
        log.info({ migration: migration.id, phase: migration.phase }, 'migration is taken up again');
        drive(migration.id);
      }
      resumed.resolve();
    },

    async close() {
      shutdown.abort(new CargoError('SERVER_UNREACHABLE', 'the server is stopping'));
      await Promise.all([verifications.close(), ...[...running.values()].map(({ done }) => done)]);
    },
  };
}

const CANCEL_LIMIT_MS = 60_000;
const RECOVER_LIMIT_MS = 120_000;

function names(migration: StoredMigration, reference: string): boolean {
  const { container, containerId, targetContainerId } = migration;
  if (container === reference || migration.id === reference) return true;
  const isPrefix = (id: string | null): boolean => id !== null && reference.length >= 4 && id.startsWith(reference);
  return isPrefix(containerId) || isPrefix(targetContainerId);
}

function fits(migration: StoredMigration, filter: { container?: string; phase?: Phase }): boolean {
  if (filter.phase !== undefined && migration.phase !== filter.phase) return false;
  return filter.container === undefined || names(migration, filter.container);
}
