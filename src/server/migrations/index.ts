import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import {
  busyPhases,
  type FailoverOptions,
  type MigrateOptions,
  type Migration,
  openPhases,
  type Phase,
  runningAtTarget,
} from '../../api/migration.ts';
import type { Plan } from '../../api/plan.ts';
import type { Store } from '../store/store.ts';
import { DEFAULT_PATIENCE, Driver, type Patience } from './driver.ts';
import { completeMigration } from './failover.ts';
import { HostUse } from './host-use.ts';
import { LiveProgress } from './live-progress.ts';
import { MigrationStore } from './migration-store.ts';
import { makePlan, type Planned, refuseBlocked } from './planner.ts';
import type { Agents, Hosts } from './ports.ts';
import { type StoredMigration, toView } from './record.ts';
import type { MigrationService } from './service.ts';
import { Verifications } from './verifications.ts';

export type MigrationsPorts = { store: Store; hosts: Hosts; agents: Agents; log: Logger; patience?: Patience };

export type Migrations = MigrationService & {
  /** Takes every open migration up again; called once, when the server starts. */
  resume(): Promise<void>;
  /** Stops driving; what is open goes on with the next server. */
  close(): Promise<void>;
};

type Running = { live: LiveProgress; cancel: AbortController; done: Promise<void> };

export function createMigrations(wired: MigrationsPorts): Migrations {
  const { store, hosts, agents, log, patience = DEFAULT_PATIENCE } = wired;
  const migrations = new MigrationStore(store);
  const ports = { hosts, agents, migrations, log, patience };
  const hostUse = new HostUse(migrations);
  const running = new Map<string, Running>();
  const verifications = new Verifications(ports);
  const shutdown = new AbortController();

  function drive(id: string): void {
    const live = new LiveProgress();
    const cancel = new AbortController();
    const driver = new Driver(ports, id, live, { cancel: cancel.signal, shutdown: shutdown.signal });
    const done = driver
      .run()
      .catch((error: unknown) => {
        if (!shutdown.signal.aborted) log.error({ migration: id, err: error }, 'migration stands still');
      })
      .finally(() => running.delete(id));
    running.set(id, { live, cancel, done });
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

  return {
    async plan(options: MigrateOptions, signal: AbortSignal): Promise<Plan> {
      return (await makePlan(ports, options, signal)).plan;
    },

    async begin(options, signal) {
      const planned = await makePlan(ports, options, signal);
      refuseBlocked(planned.plan);
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
      const ended = await until(id, ({ phase }) => !openPhases.includes(phase), signal);
      if (runningAtTarget.includes(ended.phase)) return ended;
      throw failureOf(ended);
    },

    async failover(id, options: FailoverOptions) {
      verifications.refuseWhileRunning(id);
      return toView(await completeMigration(ports, id, options, shutdown.signal));
    },

    async cancel(id) {
      const before = await migrations.get(id);
      const active = running.get(id);
      if (!openPhases.includes(before.phase) || active === undefined) throw tooLate(before);
      active.cancel.abort(new CargoError('CANCELLED', 'cancelled by an operator'));
      const limit = AbortSignal.timeout(CANCEL_LIMIT_MS);
      const ended = await until(id, ({ phase }) => !openPhases.includes(phase), limit).catch(async (error: unknown) => {
        throw limit.aborted ? stillCancelling(await migrations.get(id)) : error;
      });
      if (runningAtTarget.includes(ended.phase)) throw tooLate(ended);
      return ended;
    },

    verify: async (id) => toView(await verifications.begin(id)),

    leave: (host, options) => hostUse.leave(host, options),

    subscribe: (listener, signal) => migrations.subscribe(listener, signal),

    async resume() {
      await verifications.endLeftovers();
      for (const migration of await migrations.list()) {
        if (!openPhases.includes(migration.phase) && !migration.clearing) continue;
        await migrations.update(migration.id, { epoch: migration.epoch + 1 });
        log.info({ migration: migration.id, phase: migration.phase }, 'migration is taken up again');
        drive(migration.id);
      }
    },

    async close() {
      shutdown.abort(new CargoError('SERVER_UNREACHABLE', 'the server is stopping'));
      await Promise.all([verifications.close(), ...[...running.values()].map(({ done }) => done)]);
    },
  };
}

const CANCEL_LIMIT_MS = 60_000;

function newMigration({ plan, definition, source, target, bases }: Planned, options: MigrateOptions): StoredMigration {
  const now = new Date().toISOString();
  const files = definition.mounts.reduce((sum, mount) => sum + mount.files, 0);
  const bytes = definition.mounts.reduce((sum, mount) => sum + mount.bytes, 0);
  return {
    id: randomUUID(),
    container: definition.name,
    containerId: definition.id,
    targetContainerId: null,
    source: source.name,
    sourceId: source.id,
    target: target.name,
    targetId: target.id,
    phase: 'planned',
    strategy: plan.strategy,
    rootfs: options.rootfs,
    bwlimit: options.bwlimit,
    activity: 'planned',
    files: { total: files, local: 0, verified: 0 },
    bytes: { total: bytes, local: 0, verified: 0 },
    rate: null,
    etaSeconds: null,
    rounds: [],
    downtimeMs: null,
    createdAt: now,
    startedAt: null,
    updatedAt: now,
    copiedAt: null,
    completedAt: null,
    cleanedUp: false,
    movedAs: null,
    findings: plan.findings,
    verification: null,
    error: null,
    epoch: 1,
    definition,
    force: options.force,
    bases,
    leftAtSource: [],
    frozenAtMs: null,
    startSent: false,
    clearing: false,
    undoing: null,
  };
}

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

function failureOf(migration: Migration): CargoError {
  const cause = migration.error ?? { code: 'INTERNAL', message: 'no reason was recorded' };
  const message = `${migration.container} was not moved and stays on ${migration.source}: ${cause.message}`;
  const code = CargoError.fromBody({ error: cause }).code;
  return new CargoError(code === 'INTERNAL' ? 'MIGRATION_FAILED' : code, message, {
    details: { migration: migration.id, cause },
  });
}

function stillCancelling({ container, activity }: StoredMigration): CargoError {
  const message = `${container} is not back yet: ${activity}; \`cargoctl status ${container}\` shows how it goes on`;
  return new CargoError('TIMED_OUT', message);
}

function tooLate(migration: Migration): CargoError {
  const back = `to have it back: \`cargoctl failover ${migration.container}\`, then \`cargoctl migrate ${migration.container} --from ${migration.target} --to ${migration.source}\``;
  const message = busyPhases.includes(migration.phase)
    ? `${migration.container} runs on ${migration.target} already and can't be cancelled; ${back}`
    : `migration ${migration.id} is over (${migration.phase}): there is nothing to cancel`;
  return new CargoError('WRONG_PHASE', message);
}
