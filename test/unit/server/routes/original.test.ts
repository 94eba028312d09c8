import { afterEach, beforeEach, expect, test } from 'vitest';
import { type MigratingAgents, migratingAgents } from '../migrating-agents.ts';
import { summary, TestAgent } from '../test-agent.ts';
import { TestServer } from '../test-server.ts';

let server: TestServer;
let agents: MigratingAgents;
beforeEach(async () => {
  server = await TestServer.start();
  agents = await migratingAgents(server);
});
afterEach(async () => {
  await agents[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const error = (body: unknown): { code: string; message: string } =>
  (body as { error: { code: string; message: string } }).error;

test('GET /cargo has every host under /agent/<id>, with what Docker says of its containers, whole', async () => {
  const { source, target } = agents;
  expect((await server.call('/cargo')).body).toEqual({
    [`/agent/${source.hostId}`]: source.containers,
    [`/agent/${target.hostId}`]: [],
  });
  expect(source.containers[0]).toHaveProperty('HostConfig', { NetworkMode: 'default' });
});

test('POST /cargo answers 200 with the migration once the container runs at the target', async () => {
  const body = { source: '127.0.0.1', target: agents.target.hostId, container: 'db', rootfs: false };
  const byAddress = await server.call('/cargo', { body });
  expect([byAddress.status, error(byAddress.body).message]).toEqual([404, expect.stringContaining('several hosts')]);
  const answer = await server.call('/cargo', { body: { ...body, source: agents.source.address } });
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({ container: 'db', source: 'h1', target: 'h2', phase: 'copied', error: null });
});

test('POST /cargo takes force as an extra, and nothing that it does not know', async () => {
  const body = { source: 'h1', target: 'h2', container: 'db', force: true };
  expect((await server.call('/cargo', { body })).status).toBe(200);
  const unknown = await server.call('/cargo', { body: { ...body, strength: 1 } });
  expect([unknown.status, error(unknown.body).code]).toEqual([400, 'BAD_REQUEST']);
});

test('the replication of a container has the six fields of the guide', async () => {
  await server.call('/cargo', { body: { source: 'h1', target: 'h2', container: 'db' } });
  const { body } = await server.call('/cargo/replication/db');
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  expect(body).toEqual({ start: time, update: time, complete: time, completed: true, curr: 3, total: 3 });
});

test('failover completes the migration to that host, by POST and by GET', async () => {
  for (const method of ['POST', 'GET'] as const) {
    await server.call('/cargo', { body: { source: 'h1', target: 'h2', container: 'db' } });
    const wrong = await server.call('/cargo/failover/h1/db', { method });
    expect([wrong.status, error(wrong.body).code]).toEqual([404, 'MIGRATION_NOT_FOUND']);
    expect(error(wrong.body).message).toContain('to h2, not to h1');
    const answer = await server.call(`/cargo/failover/${agents.target.hostId}/db`, {
      method,
      headers: { 'content-type': 'application/json', accept: 'application/json' },
    });
    expect([answer.status, answer.body]).toEqual([200, expect.objectContaining({ phase: 'completed' })]);
    agents.reset();
  }
});

test('the migration goes on when the client of POST /cargo hangs up', async () => {
  agents.holdCopy();
  const gone = new AbortController();
  const body = JSON.stringify({ source: 'h1', target: 'h2', container: 'db' });
  const headers = { 'content-type': 'application/json' };
  const call = fetch(`${server.plainUrl}/cargo`, { method: 'POST', headers, body, signal: gone.signal });
  call.catch(() => undefined);
  await agents.copying();
  gone.abort();
  await expect(call).rejects.toThrow();
  agents.letCopyGo();
  const phase = async (): Promise<unknown> =>
    ((await server.call('/v1/containers/db/migration')).body as { phase: string }).phase;
  await expect.poll(phase, { timeout: 10_000 }).toBe('copied');
});

test('the metrics count what travelled and how long the container was down', async () => {
  await server.call('/cargo', { body: { source: 'h1', target: 'h2', container: 'db' } });
  await server.call('/cargo/failover/h2/db', { method: 'POST' });
  const { body } = await server.call('/metrics');
  const rounds = 3;
  expect(body).toContain(`cargo_copied_bytes_total ${rounds * 100}`);
  expect(body).toContain('cargo_migration_downtime_seconds_count 1');
  expect(body).toContain('cargo_migrations{phase="completed"} 1');
});

test('every change of a migration is an event', async () => {
  const events = await fetch(`${server.plainUrl}/v1/events`);
  expect(events.headers.get('content-type')).toBe('text/event-stream');
  await server.call('/cargo', { body: { source: 'h1', target: 'h2', container: 'db' } });
  const phases = new Set<string>();
  let text = '';
  for await (const chunk of events.body ?? []) {
    text += Buffer.from(chunk).toString();
    for (const [, data] of text.matchAll(/^event: migration\ndata: (.*)\n\n/gm))
      phases.add(JSON.parse(data ?? '').phase);
    if (phases.has('copied')) break;
  }
  expect([...phases]).toEqual(['planned', 'staging', 'switching', 'copied']);
});

test('a host that is away or hangs holds no list up and shows its last known containers', async () => {
  const { source, target } = agents;
  await source.beat();
  source.respond = () => new Promise(() => undefined);
  const startedAt = Date.now();
  const { body } = await server.call('/v1/containers');
  expect(Date.now() - startedAt).toBeLessThan(2_000);
  expect(body).toMatchObject({
    hosts: [
      { host: { name: 'h1' }, stale: true, containers: [{ Names: ['/db'] }] },
      { host: { name: 'h2' }, stale: false, containers: [] },
    ],
  });
  await target[Symbol.asyncDispose]();
  const cargo = await server.call('/cargo');
  expect(cargo.body).toMatchObject({
    [`/agent/${source.hostId}`]: [{ Names: ['/db'] }],
    [`/agent/${target.hostId}`]: [],
  });
});

test('a container name that two hosts have is a 409 that lists the candidates', async () => {
  const { target } = agents;
  target.containers = [summary('db')];
  const third = await TestAgent.join(server, 'h3', { token: await agents.token() });
  await third.beat();
  const { status, body } = await server.call('/v1/migrations', { body: { target: 'h3', container: 'db' } });
  expect([status, error(body).code]).toEqual([409, 'CONTAINER_AMBIGUOUS']);
  expect(body).toMatchObject({ error: { details: { candidates: [{ host: 'h1' }, { host: 'h2' }] } } });
  await third[Symbol.asyncDispose]();
});
