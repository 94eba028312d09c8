import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificateRequest } from '../../../../src/agent/net/csr.ts';
import { HeartbeatAnswer, RemovedHost } from '../../../../src/api/host.ts';
import { migratingAgents } from '../migrating-agents.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { askToJoin, factsAt, newKey, TestAgent } from '../test-agent.ts';
import { type Answer, TestServer } from '../test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

const told = ({ status, body }: Answer): unknown => [status, (body as { error?: { code: string } }).error?.code];
const remove = (host: string, query = ''): Promise<Answer> =>
  server.call(`/v1/hosts/${host}${query}`, { method: 'DELETE' });
const newToken = async (uses = 1): Promise<string> =>
  ((await server.call('/v1/tokens', { body: { uses } })).body as { token: string }).token;

test('a removed host is gone, and nothing is done for its certificate any more', async () => {
  await using agent = await TestAgent.join(server, 'gone', { token: await newToken() });
  await agent.beat();
  expect(RemovedHost.parse((await remove('gone')).body)).toMatchObject({ host: { id: agent.hostId }, kept: [] });
  expect(told(await server.call('/v1/hosts/gone'))).toEqual([404, 'HOST_NOT_FOUND']);
  const beat = await agent.beat();
  expect(told(beat)).toEqual([403, 'HOST_REMOVED']);
  expect(JSON.stringify(beat.body)).toContain('cargoctl token create');
  const csr = certificateRequest(newKey(), 'x');
  const renewal = await server.call('/v1/renew', { token: null, through: agent.client, body: { csr } });
  expect(told(renewal)).toEqual([403, 'HOST_REMOVED']);
  expect(told(await remove('gone'))).toEqual([404, 'HOST_NOT_FOUND']);
});

test('neither its certificate nor a fresh token brings the id of a removed host back; a new id gets the name', async () => {
  const token = await newToken(3);
  await using agent = await TestAgent.join(server, 'again', { token });
  await remove('again');
  const same = { hostId: agent.hostId, name: 'again', key: agent.key };
  expect(told(await askToJoin(server, { ...same, token, through: agent.client })), 'its own token is void').toEqual([
    403,
    'JOIN_REFUSED',
  ]);
  const fresh = await newToken(2);
  expect(told(await askToJoin(server, { ...same, token: fresh }))).toEqual([403, 'HOST_REMOVED']);
  expect(told(await askToJoin(server, { ...same, token: fresh, through: agent.client }))).toEqual([
    403,
    'HOST_REMOVED',
  ]);
  await using anew = await TestAgent.join(server, 'again', { token: fresh });
  expect((await anew.beat()).status).toBe(200);
});

test('agents are told of removed hosts once, until there are others', async () => {
  await using agent = await TestAgent.join(server, 'listener', { token: await newToken() });
  await using other = await TestAgent.join(server, 'other', { token: await newToken() });
  const beat = async (revokedDigest?: string): Promise<HeartbeatAnswer> => {
    const body = { facts: factsAt(agent.address), containers: [], revokedDigest };
    return HeartbeatAnswer.parse(
      (await server.call('/v1/heartbeat', { token: null, through: agent.client, body })).body,
    );
  };
  const first = await beat();
  expect(first.revoked?.hostIds).not.toContain(other.hostId);
  expect((await beat(first.revoked?.digest)).revoked).toBeNull();
  await remove('other');
  expect((await beat(first.revoked?.digest)).revoked?.hostIds).toContain(other.hostId);
});

test('the read-only token removes nobody', async () => {
  await using _agent = await TestAgent.join(server, 'stays', { token: await newToken() });
  const answer = await server.call('/v1/hosts/stays', { method: 'DELETE', token: server.readToken });
  expect(told(answer)).toEqual([403, 'FORBIDDEN']);
  expect((await server.call('/v1/hosts/stays')).status).toBe(200);
});

test('a host stays removed after a restart, even one that ended in the middle of a removal', async () => {
  await using dir = await temporaryDir();
  let restarted = await TestServer.start({ dir: dir.path });
  await using agent = await TestAgent.join(restarted, 'lasting');
  await restarted.call('/v1/hosts/lasting', { method: 'DELETE' });
  await restarted[Symbol.asyncDispose]();
  restarted = await TestServer.start({ dir: dir.path });
  const body = { facts: factsAt('h:1'), containers: [] };
  const beat = await restarted.call('/v1/heartbeat', { token: null, through: agent.client, body });
  expect(told(beat)).toEqual([403, 'HOST_REMOVED']);
  expect((await restarted.call('/v1/hosts')).body).toEqual({ hosts: [] });
  await restarted[Symbol.asyncDispose]();
});

test('a host that a migration needs is not removed, and the refusal says what to do', async () => {
  await using own = await TestServer.start();
  await using agents = await migratingAgents(own);
  const removeOf = (host: string, query = ''): Promise<Answer> =>
    own.call(`/v1/hosts/${host}${query}`, { method: 'DELETE' });
  agents.holdCopy();
  await own.call('/v1/migrations', { body: { container: 'db', target: 'h2' } });
  await agents.copying();
  for (const host of ['h1', 'h2']) {
    const refused = await removeOf(host);
    expect(told(refused)).toEqual([409, 'WRONG_PHASE']);
    expect(JSON.stringify(refused.body)).toMatch(/cargoctl cancel db.*--force.*cargoctl recover/);
  }
  agents.letCopyGo();
  await expect
    .poll(async () => ((await own.call('/v1/containers/db/migration')).body as { phase: string }).phase)
    .toBe('copied');
  for (const query of ['', '?force=true']) {
    expect(JSON.stringify((await removeOf('h1', query)).body), 'by force neither').toContain('cargoctl failover db');
  }
  const { id } = (await own.call('/v1/containers/db/migration')).body as { id: string };
  expect((await own.call(`/v1/migrations/${id}/failover`, { body: {} })).status).toBe(200);
  expect(RemovedHost.parse((await removeOf('h1')).body).kept).toEqual(['db-moved-1234']);
  expect((await agents.target.beat()).status).toBe(200);
});

test.each(['h1', 'h2'])('by force %s is removed in the middle of a migration, which is undone first', async (host) => {
  await using own = await TestServer.start();
  await using agents = await migratingAgents(own);
  agents.holdCopy();
  const begun = await own.call('/v1/migrations', { body: { container: 'db', target: 'h2' } });
  await agents.copying();
  expect((await own.call(`/v1/hosts/${host}?force=true`, { method: 'DELETE' })).status).toBe(200);
  const { id } = begun.body as { id: string };
  const message = `host ${host} was removed from Cargo while db was moving`;
  expect((await own.call(`/v1/migrations/${id}`)).body).toMatchObject({
    ...{ phase: 'rolled-back', error: { code: 'HOST_REMOVED', message } },
  });
  const removed = host === 'h1' ? agents.source : agents.target;
  expect(told(await removed.beat())).toEqual([403, 'HOST_REMOVED']);
});
