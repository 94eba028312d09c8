import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Strategy } from '../../../../src/api/container-definition.ts';
import { MigrateOptions, type Migration } from '../../../../src/api/migration.ts';
import { createMigrations, type Migrations } from '../../../../src/server/migrations/index.ts';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { type FaultKind, steps, TwoHosts, TwoRunners } from './two-hosts.ts';

const log = pino({ level: 'silent' });
const options = MigrateOptions.parse({ container: 'db', target: 'h2' });
const patience = { stagingMs: 300, switchingMs: 300, clearingMs: 300 };
const kinds: FaultKind[] = [
  'request lost',
  'answer lost',
  'request delayed',
  'fails',
  'fails when done',
  'server dies before',
  'server dies after',
];

/** Plays one migration with the fault, starting the server again each time it dies; returns how it ended. */
async function play(
  world: TwoHosts,
  afterwards = async (): Promise<void> => {},
  strategy: Strategy = 'precopy',
): Promise<Migration> {
  const folder = mkdtempSync(join(tmpdir(), 'cargo-driver-'));
  const store = new SqliteStore(join(folder, 'cargo.db'));
  let deaths = Promise.withResolvers<void>();
  world.onServerDeath = () => deaths.resolve();
  const boot = (): Migrations => createMigrations({ store, hosts: world, agents: world, log, patience });
  let server = boot();
  try {
    const { id } = await server.begin({ ...options, strategy }, AbortSignal.timeout(10_000));
    for (;;) {
      const died = deaths.promise.then(() => 'died' as const);
      const ended = server.untilRunning(id, AbortSignal.timeout(10_000)).catch(() => 'not running' as const);
      if ((await Promise.race([died, ended.then(afterwards).then(() => hydrated(server, id))])) !== 'died')
        return await server.get(id);
      deaths = Promise.withResolvers();
      await server.close();
      server = boot();
      await server.resume();
    }
  } finally {
    await server.close();
    await store.close();
    rmSync(folder, { recursive: true });
  }
}

/** Data that follows the container has followed; never where the server dies before that. */
async function hydrated(server: Migrations, id: string): Promise<void> {
  for (;;) {
    const { phase, error } = await server.get(id);
    if (phase !== 'hydrating' || error !== null) return;
    await delay(5);
  }
}

function expectOneHome(world: TwoHosts, ended: Migration): void {
  expect([world.source.running, world.target.running].filter(Boolean), 'exactly one copy runs').toHaveLength(1);
  if (world.target.running) expect(ended).toMatchObject({ phase: 'copied', error: null });
  else {
    expect(ended.phase).toBe('rolled-back');
    expect(ended.error).not.toBeNull();
    expect(world.source.frozen).toBe(false);
    expect(world.target.staged, 'nothing is left at the target').toBe(false);
  }
}

const onTheWayBack = ['refuse', 'thaw', 'abandon'];
const ofLazy = ['arm', 'hydrate'];
const forward = steps.filter((key) => ![...onTheWayBack, ...ofLazy].includes(key));

test.each(forward.flatMap((key) => kinds.map((kind) => ({ key, kind }))))(
  'one copy runs in the end, with $key: $kind',
  async ({ key, kind }) => {
    const world = new TwoHosts({ key, kind, times: 1 });
    const ended = await play(world);
    world.release();
    expectOneHome(world, ended);
  },
);

const lazySteps = steps.filter((key) => !onTheWayBack.includes(key));

test.each(lazySteps.flatMap((key) => kinds.map((kind) => ({ key, kind }))))(
  'lazy: one copy runs in the end, with all its data, with $key: $kind',
  async ({ key, kind }) => {
    const world = new TwoHosts({ key, kind, times: 1 }, { lazy: true });
    const ended = await play(world, async () => {}, 'lazy');
    world.release();
    expectOneHome(world, ended);
    if (key === 'hydrate') expect(ended.phase, 'nothing leads back from there').toBe('copied');
    const known = { stopMs: 1, drainMs: 2, applyMs: 3, armMs: 4, startMs: 5, healthyMs: 6 };
    if (world.target.running) expect(ended.switchTimes, 'whatever died').toEqual(known);
  },
);

test.each([null, 'start'])(
  'lazy: what served at the target and may have read wrong data waits for an operator there (also fails: %s)',
  async (alsoFails) => {
    const kind = 'suspect when done';
    const world = new TwoHosts({ key: 'start', kind, times: 1 }, { lazy: true, ...(alsoFails && { alsoFails }) });
    const ended = await play(world, async () => {}, 'lazy');
    expect(ended).toMatchObject({ phase: 'hydrating', error: { code: 'SUSPECT' } });
    expect(world.source.running, 'nobody starts the source without an operator’s word').toBe(false);
    expect(world.target.staged, 'what was written there is kept').toBe(true);
  },
);

test('lazy: an answer that never comes while data follows keeps the container where it runs', async () => {
  const world = new TwoHosts({ key: 'hydrate', kind: 'request lost', times: 5 }, { lazy: true });
  expectOneHome(world, await play(world, async () => {}, 'lazy'));
  expect(world.asked.has('refuse') || world.asked.has('thaw')).toBe(false);
});

test.each(forward.filter((key) => key !== 'start').map((key) => ({ key })))(
  'the source runs again when $key never gets through',
  async ({ key }) => {
    const world = new TwoHosts({ key, kind: 'request lost', times: 1_000 });
    const ended = await play(world);
    expectOneHome(world, ended);
    expect(ended.phase).toBe('rolled-back');
  },
);

test.each(['request lost', 'answer lost'] as const)(
  'a start is asked for beyond all patience until it is answered: %s',
  async (kind) => {
    const world = new TwoHosts({ key: 'start', kind, times: 4 });
    const ended = await play(world);
    expectOneHome(world, ended);
    expect(ended.phase).toBe('copied');
    expect(world.asked.has('refuse'), 'nobody may take back what may run').toBe(false);
  },
);

test.each(['refuse', 'thaw'])('the way back does not end at a failure of %s', async (key) => {
  const world = new TwoHosts({ key, kind: 'fails', times: 3 }, { alsoFails: 'start' });
  const ended = await play(world);
  expectOneHome(world, ended);
  expect(ended).toMatchObject({ phase: 'rolled-back', error: { message: 'start failed' } });
});

test('a copy that has run at the target and written is named with the failure', async () => {
  const world = new TwoHosts({ key: 'start', kind: 'fails', times: 1 });
  world.keptAs = 'db-lost-1234';
  const ended = await play(world);
  expect(ended).toMatchObject({ phase: 'rolled-back', error: { message: expect.stringContaining('as db-lost-1234') } });
});

test('what was copied and is kept for another try is named with the failure', async () => {
  const world = new TwoHosts({ key: 'freeze', kind: 'fails', times: 1 });
  const base = { kind: 'volume', name: 'db', dataPath: '/v/db/_data.kept-1', destinations: ['/data'] } as const;
  const ids = { anonymous: false, migrationId: 'm', containerId: 'c', containerName: 'db' };
  world.bases = [{ ...base, ...ids, destinations: [...base.destinations] }];
  const ended = await play(world);
  expect(ended).toMatchObject({ phase: 'rolled-back', error: { message: expect.stringMatching(/another try: db$/) } });
});

test('a target that is lost before it was told to start keeps nobody waiting', async () => {
  const world = new TwoHosts({ key: 'abandon', kind: 'request lost', times: 1_000 }, { alsoFails: 'copy-3' });
  const ended = await play(world);
  expect(ended).toMatchObject({ phase: 'rolled-back', activity: expect.stringContaining('cleared as soon as') });
  expect(world.source).toEqual({ running: true, frozen: false });
  expect(world.asked.has('refuse'), 'it was never told to start').toBe(false);
  expect(world.target.staged).toBe(true);
});

test.each(['works', 'server dies', 'agent is away'] as const)(
  'both agents forget a migration that was rolled back, when the first time %s',
  async (onForget) => {
    const world = new TwoHosts({ key: 'freeze', kind: 'fails', times: 1 });
    world.onForget = onForget;
    await play(world, async () => {
      await expect
        .poll(() => [...world.forgottenBy].sort(), { timeout: 5_000 })
        .toEqual(world.hosts.map(({ id }) => id));
    });
  },
);

const delayedStart = { key: 'start', kind: 'request delayed', times: 1 } as const;

test('a start that arrives after the target has refused does nothing', async () => {
  const world = new TwoHosts(delayedStart, { alsoFails: 'start' });
  const ended = await play(world);
  expectOneHome(world, ended);
  expect(ended.phase).toBe('rolled-back');
});

test('control: without the permit the same delay makes two copies run', async () => {
  const world = new TwoHosts(delayedStart, { alsoFails: 'start', fenced: false });
  await expect(playUntilTwoRun(world)).resolves.toBe(true);
});

async function playUntilTwoRun(world: TwoHosts): Promise<boolean> {
  let seen = false;
  const release = world.release.bind(world);
  world.release = () => {
    try {
      release();
    } catch (error) {
      seen ||= error instanceof TwoRunners;
    }
  };
  await play(world);
  return seen;
}
