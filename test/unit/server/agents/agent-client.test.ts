import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StepProgress } from '../../../../src/api/agent-steps.ts';
import type { Host } from '../../../../src/api/host.ts';
import { AgentClient } from '../../../../src/server/agents/agent-client.ts';
import { factsAt, summary, TestAgent } from '../test-agent.ts';
import { TestServer } from '../test-server.ts';

const MIGRATION = '7b1c5c7e-0000-4000-8000-000000000000';
const request = { key: 'thaw', step: 'thaw', epoch: 3, input: {} } as const;

let server: TestServer;
let agent: TestAgent;
let client: AgentClient;
let signal: AbortSignal;
beforeEach(async () => {
  server = await TestServer.start();
  agent = await TestAgent.join(server, 'h1');
  const read = (name: string): Promise<string> => readFile(join(server.dir, name), 'utf8');
  client = new AgentClient({ ca: server.ca, certificate: await read('server.pem'), key: await read('server.key') });
  signal = AbortSignal.timeout(15_000);
});
afterEach(async () => {
  await client.close();
  await agent[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function host(change: Partial<Host> = {}): Host {
  const now = new Date().toISOString();
  const known = { id: agent.hostId, name: 'h1', status: 'ready', joinedAt: now, lastSeenAt: now } as const;
  return { ...factsAt(agent.address), ...known, ...change };
}

const report = (state: string, more: object = {}) => ({
  body: { key: 'thaw', state, progress: null, output: null, error: null, ...more },
});
const progressAt = (bytesDone: number): StepProgress => ({
  activity: 'copying',
  filesDone: 0,
  filesTotal: 1,
  bytesDone,
  bytesTotal: 10,
});

test('a list that has not changed is not sent again, one that has is', async () => {
  agent.containers = [summary('db')];
  const tags: (string | undefined)[] = [];
  agent.respond = ({ headers }) => {
    tags.push(headers['if-none-match']);
    const tag = `"${agent.containers.length}"`;
    if (headers['if-none-match'] === tag) return { status: 304, body: null, headers: { etag: tag } };
    return { body: { containers: agent.containers }, headers: { etag: tag } };
  };
  const first = await client.containers(host(), signal);
  expect(await client.containers(host(), signal)).toBe(first);
  agent.containers = [summary('db'), summary('web')];
  expect(await client.containers(host(), signal)).toEqual(agent.containers);
  expect(tags).toEqual([undefined, '"1"', '"1"']);
});

test('containers of a host come whole', async () => {
  agent.containers = [summary('db')];
  expect(await client.containers(host(), signal)).toEqual(agent.containers);
});

test('an agent that is another host than was meant is not believed', async () => {
  const meant = host({ id: 'aaaaaaaa-0000-4000-8000-000000000000' });
  await expect(client.containers(meant, signal)).rejects.toMatchObject({
    code: 'AGENT_UNREACHABLE',
    message: expect.stringContaining(`cargo://host/${agent.hostId}, not host aaaaaaaa`),
  });
});

test('an agent with the certificate of another CA is not believed', async () => {
  await using foreign = await TestServer.start();
  await using impostor = await TestAgent.join(foreign, 'h1');
  const meant = host({ id: impostor.hostId, dataAddress: impostor.address });
  await expect(client.containers(meant, signal)).rejects.toMatchObject({ code: 'AGENT_UNREACHABLE' });
});

test('the agent’s own errors come through with code, message and details, and say whose they are', async () => {
  const error = { code: 'DOCKER_UNREACHABLE', message: 'no daemon', details: { socket: 'x' } };
  agent.respond = () => ({ status: 503, body: { error } });
  await expect(client.describe(host(), 'db', signal)).rejects.toMatchObject({
    ...error,
    message: `${host().name}: no daemon`,
  });
});

test('an answer that makes no sense is a protocol error that names the field', async () => {
  agent.respond = () => ({ body: { containers: [{ Id: 3 }] } });
  await expect(client.containers(host(), signal)).rejects.toMatchObject({
    code: 'PROTOCOL_ERROR',
    message: expect.stringContaining('containers.0.Id'),
  });
});

test('a step is sent with its epoch, polled with progress, and its output is parsed', async () => {
  const seen: unknown[] = [];
  const told: number[] = [];
  agent.respond = ({ method, url }, body) => {
    seen.push(method === 'PUT' ? body : url);
    if (seen.length === 1) return report('running');
    if (seen.length < 4) return report('running', { progress: progressAt(seen.length) });
    return report('done', { output: { running: true, unknown: 1 } });
  };
  const onProgress = ({ bytesDone }: StepProgress) => told.push(bytesDone);
  expect(await client.step(host(), MIGRATION, request, { signal, onProgress })).toEqual({ running: true });
  const poll = `/v1/migrations/${MIGRATION}/steps/thaw?waitMs=500`;
  expect(seen).toEqual([{ step: 'thaw', epoch: 3, input: {} }, poll, poll, poll]);
  expect(told).toEqual([2, 3]);
});

test('a step that failed throws the agent’s error', async () => {
  agent.respond = () => report('failed', { error: { code: 'DISK_FULL', message: 'no room' } });
  await expect(client.step(host(), MIGRATION, request, { signal, onProgress: () => undefined })).rejects.toMatchObject({
    code: 'DISK_FULL',
    message: `${host().name}: no room`,
  });
});

test('an agent that loses connections and forgets what it did gets the command again', async () => {
  const methods: string[] = [];
  agent.respond = ({ method, socket }) => {
    methods.push(String(method));
    if (methods.length === 2 || methods.length === 3) socket.destroy();
    if (methods.length === 4) return report('running');
    if (methods.length === 5) return { status: 404, body: { error: { code: 'NOT_FOUND', message: 'no such step' } } };
    return report(methods.length < 6 ? 'running' : 'done', { output: { running: true } });
  };
  await client.step(host(), MIGRATION, request, { signal, onProgress: () => undefined });
  expect(methods).toEqual(['PUT', 'GET', 'GET', 'PUT', 'GET', 'PUT']);
});

test('a step is sent again at once to an agent that was started anew, and whose host has taken the answer with it', async () => {
  const asked = Promise.withResolvers<void>();
  let times = 0;
  agent.respond = () => {
    times += 1;
    asked.resolve();
    return times === 1 ? new Promise(() => undefined) : report('done', { output: { running: true } });
  };
  const began = performance.now();
  const output = client.step(host(), MIGRATION, request, { signal, onProgress: () => undefined });
  await asked.promise;
  client.hangUp(agent.hostId);
  expect(await output).toEqual({ running: true });
  expect(performance.now() - began).toBeLessThan(5_000);
});

test('waiting for a step ends with the reason of the signal', async () => {
  const stop = new AbortController();
  agent.respond = () => {
    stop.abort(new Error('cancelled'));
    return report('running');
  };
  const waiting = client.step(host(), MIGRATION, request, { signal: stop.signal, onProgress: () => undefined });
  await expect(waiting).rejects.toThrow('cancelled');
});

test('an agent that is not there is unreachable at once, one that never answers after 3 s', async () => {
  const startedAt = Date.now();
  const gone = host({ dataAddress: '127.0.0.1:1' });
  await expect(client.describe(gone, 'db', signal)).rejects.toMatchObject({ code: 'AGENT_UNREACHABLE' });
  expect(Date.now() - startedAt).toBeLessThan(1_000);
  const mute = createServer().listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const bound = mute.address();
  const dataAddress = `127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`;
  await expect(client.describe(host({ dataAddress }), 'db', signal)).rejects.toMatchObject({
    code: 'AGENT_UNREACHABLE',
    message: expect.stringContaining(dataAddress),
  });
  expect(Date.now() - startedAt).toBeLessThan(6_000);
  mute.close();
});

test('a step waits ten seconds for an agent that is away, and no longer', { timeout: 20_000 }, async () => {
  const gone = host({ dataAddress: '127.0.0.1:1' });
  const startedAt = Date.now();
  const waiting = client.step(gone, MIGRATION, request, { signal, onProgress: () => undefined });
  await expect(waiting).rejects.toMatchObject({ code: 'AGENT_UNREACHABLE' });
  expect(Date.now() - startedAt).toBeGreaterThan(10_000);
  expect(Date.now() - startedAt).toBeLessThan(12_000);
});

test('forgetting what the agent does not know is fine', async () => {
  agent.respond = () => ({ status: 404, body: { error: { code: 'MIGRATION_NOT_FOUND', message: 'none' } } });
  await client.forget(host(), MIGRATION, signal);
});
