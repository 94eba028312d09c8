import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StepCommand } from '../../../../src/api/agent-steps.ts';
import type { DataMount } from '../../../../src/api/container-definition.ts';
import { abilities, LAZY } from '../../../../src/api/host.ts';
import type { Migration, VolumeHydration } from '../../../../src/api/migration.ts';
import { type MigratingAgents, migratingAgents } from '../migrating-agents.ts';
import type { TestAgent } from '../test-agent.ts';
import { TestServer } from '../test-server.ts';

/** How long the agent lets a question for news of its step wait. */
const ANSWER_MS = 200;

const volume: VolumeHydration = {
  name: 'dbdata',
  files: 3,
  filesMissing: 2,
  bytesMissing: 60,
  bytesFetched: 40,
  waiting: 1,
  waits: 5,
  denied: 0,
  p50Ms: 2,
  p99Ms: 250,
  sourceAway: null,
  trouble: [],
};

let server: TestServer;
let agents: MigratingAgents;
let target: HydratingTarget;
let id: string;
beforeEach(async () => {
  server = await TestServer.start();
  agents = await migratingAgents(server);
  target = await lazyHosts(agents);
  id = ((await begin({ strategy: 'lazy' })).body as Migration).id;
  await soon(async () => (await migration()).hydration).toEqual([volume]);
});
afterEach(async () => {
  target.end();
  await agents[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const soon = <T>(of: () => T) => expect.poll(of, { timeout: 10_000 });
const begin = (more: object) =>
  server.call('/v1/migrations', { body: { source: 'h1', target: 'h2', container: 'db', ...more } });
const migration = async (): Promise<Migration> => (await server.call(`/v1/migrations/${id}`)).body as Migration;
const control = (body: object) => server.call(`/v1/migrations/${id}`, { method: 'PATCH', body });
const metric = async (name: string): Promise<string[]> => {
  const lines = ((await server.call('/metrics')).body as string).split('\n');
  return lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
};

test('the metrics tell of each migration whose data follows what is missing and what waits for it', async () => {
  const labels = '{container="db",target="h2"}';
  const figures: Record<string, number> = {
    missing_bytes: 60,
    missing_files: 2,
    waits: 5,
    waiting: 1,
    denied: 0,
    wait_p99_seconds: 0.25,
    source_away: 0,
    paused: 0,
  };
  for (const [name, value] of Object.entries(figures)) {
    expect(await metric(`cargo_hydration_${name}`)).toEqual([`cargo_hydration_${name}${labels} ${value}`]);
  }
  await control({ paused: true });
  target.tell([{ ...volume, sourceAway: 'no answer from h1', waits: 6 }]);
  await soon(() => metric('cargo_hydration_source_away')).toEqual([`cargo_hydration_source_away${labels} 1`]);
  expect(await metric('cargo_hydration_paused')).toEqual([`cargo_hydration_paused${labels} 1`]);
  target.end();
  await soon(async () => (await migration()).phase).toBe('copied');
  expect(await metric('cargo_hydration_missing_bytes')).toEqual([]);
});

test('what followed counts as copied, once, also when a hydrator was replaced and counts anew', async () => {
  const rounds = (await migration()).rounds.reduce((sum, { bytes }) => sum + bytes, 0);
  const copied = async (): Promise<number> => Number((await metric('cargo_copied_bytes_total'))[0]?.split(' ')[1]);
  await soon(copied).toBe(rounds + 40);
  await control({ bwlimit: 1_000_000 });
  target.tell([{ ...volume, bytesFetched: 70, bytesMissing: 30 }]);
  await soon(copied).toBe(rounds + 70);
  target.tell([{ ...volume, bytesFetched: 10, bytesMissing: 20 }]);
  await soon(copied).toBe(rounds + 80);
});

test('the calls of the guide count what is missing as not copied, and refuse a failover with the numbers', async () => {
  const { body } = await server.call('/cargo/replication/db');
  expect(body).toMatchObject({ curr: 1, total: 3, completed: false, complete: '' });
  const details = { filesMissing: 2, bytesMissing: 60 };
  for (const path of [`/v1/migrations/${id}/failover`, '/cargo/failover/h2/db']) {
    const answer = await server.call(path, { method: 'POST' });
    expect(answer).toMatchObject({ status: 409, body: { error: { code: 'WRONG_PHASE', details } } });
  }
});

test('limit and pause are passed on to the target and stay with the migration', async () => {
  expect(await control({ paused: true })).toMatchObject({ status: 200, body: { paused: true, bwlimit: null } });
  expect(await control({ bwlimit: 1000 })).toMatchObject({ status: 200, body: { paused: true, bwlimit: 1000 } });
  expect(await control({ paused: false, bwlimit: null })).toMatchObject({ body: { paused: false, bwlimit: null } });
  expect(target.controls).toEqual([
    { paused: true, bwlimit: null },
    { paused: true, bwlimit: 1000 },
    { paused: false, bwlimit: null },
  ]);
  target.end();
  await soon(async () => (await migration()).phase).toBe('copied');
  expect(await control({ paused: true })).toMatchObject({ status: 409, body: { error: { code: 'WRONG_PHASE' } } });
});

test('while the target can’t be heard, what was missing is shown as missing still', async () => {
  target.hang();
  await soon(async () => (await migration()).activity).toMatch(/^waiting: /);
  expect(await migration()).toMatchObject({ hydration: [volume], files: { total: 3, local: 1 }, rate: null });
  target.tell([{ ...volume, filesMissing: 1 }]);
  await soon(async () => (await migration()).files.local).toBe(2);
});

test('precopy does not rest: asking for it is refused, a limit is not', async () => {
  target.end();
  await soon(async () => (await migration()).phase).toBe('copied');
  await server.call(`/v1/migrations/${id}/failover`, { method: 'POST' });
  agents.reset();
  agents.holdCopy();
  id = ((await begin({ strategy: 'precopy' })).body as Migration).id;
  const refused = await control({ paused: true });
  expect(refused).toMatchObject({
    status: 409,
    body: { error: { message: expect.stringContaining('does not rest') } },
  });
  expect(await control({ bwlimit: 1000 })).toMatchObject({ status: 200, body: { bwlimit: 1000 } });
  agents.letCopyGo();
  await soon(async () => (await migration()).phase).toBe('copied');
});

type HydratingTarget = {
  controls: unknown[];
  tell(volumes: VolumeHydration[]): void;
  /** All data has arrived. */
  end(): void;
  /** Every connection that asks after the hydration breaks, until `tell`. */
  hang(): void;
};

const mount: DataMount = {
  ...{ index: 0, kind: 'volume', name: 'dbdata', anonymous: false, path: '/data', isFile: false, readOnly: false },
  ...{
    destinations: ['/data'],
    labels: {},
    driverOpts: {},
    fingerprint: null,
    files: 3,
    bytes: 100,
    strategy: 'precopy',
  },
};

/** Both hosts have the lazy engine; the target's goes on until it is told to end. */
async function lazyHosts({ source, target: agent }: MigratingAgents): Promise<HydratingTarget> {
  const controls: unknown[] = [];
  const state = { volumes: [volume], ended: false, hangs: false, changed: Promise.withResolvers<void>() };
  const change = (changes: Partial<typeof state>): void => {
    Object.assign(state, changes).changed.resolve();
    state.changed = Promise.withResolvers();
  };
  withMount(source);
  const usual = agent.respond;
  agent.respond = async (request, body) => {
    const { url } = request;
    if (url.endsWith('/hydration')) {
      controls.push(body);
      return { body: {} };
    }
    if (url === '/v1/preflight') {
      return { body: { findings: [], imagePresent: true, lazy: [{ index: 0, reason: null }] } };
    }
    const isHydrate = url.includes('/steps/hydrate') || (body as StepCommand | null)?.step === 'hydrate';
    if (!isHydrate || state.ended) return usual(request, body);
    if (state.hangs) request.socket.destroy();
    else if (request.method === 'GET') await Promise.race([state.changed.promise, delay(ANSWER_MS)]);
    const progress = {
      ...{ activity: 'data follows', filesTotal: 3, hydration: state.volumes },
      filesDone: 3 - (state.volumes[0]?.filesMissing ?? 0),
      ...{ bytesDone: 40, bytesTotal: 100 },
    };
    return { body: { key: 'hydrate', state: 'running', progress, output: null, error: null } };
  };
  for (const host of [source, agent]) await host.beat({ abilities: [...abilities, LAZY] });
  return {
    controls,
    tell: (volumes) => change({ volumes, hangs: false }),
    end: () => change({ ended: true }),
    hang: () => change({ hangs: true }),
  };
}

function withMount(source: TestAgent): void {
  const usual = source.respond;
  source.respond = async (request, body) => {
    const reply = await usual(request, body);
    if (request.url !== '/v1/describe') return reply;
    const described = reply.body as { definition: object; findings: unknown[] };
    return { body: { ...described, definition: { ...described.definition, mounts: [mount] } } };
  };
}
