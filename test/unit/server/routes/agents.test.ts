import 'reflect-metadata';
import { createPublicKey, randomUUID, webcrypto, X509Certificate } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { Agent } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificateRequest } from '../../../../src/agent/net/csr.ts';
import type { Host } from '../../../../src/api/host.ts';
import { CreateTokenResponse, JoinResponse, parseJoinToken } from '../../../../src/api/join.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { askToJoin, factsAt, newKey, summary, TestAgent } from '../test-agent.ts';
import { type Answer, TestServer } from '../test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

const code = ({ body }: Answer): unknown => (body as { error?: { code: string } }).error?.code;
const newToken = async (options: { uses?: number; ttlSeconds?: number } = {}) =>
  CreateTokenResponse.parse((await server.call('/v1/tokens', { body: options })).body);
const token = async (options: { uses?: number } = {}): Promise<string> => (await newToken(options)).token;

describe('joining', () => {
  test('gives a certificate that says who the host is in the words of the server alone', async () => {
    const key = newKey();
    const hostId = randomUUID();
    const answer = await askToJoin(server, { token: await token(), hostId, name: 'words', key });
    const { certificate, ca } = JoinResponse.parse(answer.body);
    const issued = new X509Certificate(certificate);
    expect(ca).toBe(`${server.ca}\n`);
    expect(issued.verify(new X509Certificate(ca).publicKey)).toBe(true);
    expect(issued.subject).toBe(`CN=${hostId}`);
    expect(issued.subjectAltName).toBe(`URI:cargo://host/${hostId}`);
    expect(issued.publicKey.equals(createPublicKey(key))).toBe(true);
    expect(issued.ca).toBe(false);
    const days = (issued.validToDate.getTime() - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(365);
  });

  test('two hosts that join with the same one-use token at once: one is in, the other refused', async () => {
    const once = await token();
    const enter = (name: string): Promise<Answer> =>
      askToJoin(server, { token: once, hostId: randomUUID(), name, key: newKey() });
    const answers = await Promise.all([enter('twin-a'), enter('twin-b'), enter('twin-c')]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 403, 403]);
    const hosts = (await server.call('/v1/hosts')).body as { hosts: { name: string }[] };
    expect(hosts.hosts.filter(({ name }) => name.startsWith('twin-'))).toHaveLength(1);
  });

  test('a token for three hosts takes three and not four', async () => {
    const three = await token({ uses: 3 });
    const statuses: number[] = [];
    for (const name of ['three-1', 'three-2', 'three-3', 'three-4']) {
      statuses.push((await askToJoin(server, { token: three, hostId: randomUUID(), name, key: newKey() })).status);
    }
    expect(statuses).toEqual([200, 200, 200, 403]);
  });

  test('wrong, unknown and expired tokens get the same refusal', async () => {
    const good = await token();
    const { caSha256, id, secret } = parseJoinToken(good);
    const short = await newToken({ ttlSeconds: 1 });
    await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(Date.parse(short.expiresAt));
    const wrong = [
      `cargo1.${caSha256}.${id}.${secret.replace(/^./, (first) => (first === '_' ? '-' : '_'))}`,
      `cargo1.${caSha256}.00000000.${secret}`,
      short.token,
    ];
    const refusals = new Set<string>();
    for (const bad of wrong) {
      const answer = await askToJoin(server, { token: bad, hostId: randomUUID(), name: 'nobody', key: newKey() });
      expect([answer.status, code(answer)]).toEqual([403, 'JOIN_REFUSED']);
      refusals.add(JSON.stringify(answer.body));
    }
    expect(refusals.size).toBe(1);
  });

  test('a name that another host has is refused and costs no token use', async () => {
    const key = newKey();
    const hostId = randomUUID();
    await askToJoin(server, { token: await token(), hostId: randomUUID(), name: 'taken', key: newKey() });
    const spare = await token();
    const refused = await askToJoin(server, { token: spare, hostId, name: 'taken', key });
    expect([refused.status, code(refused)]).toEqual([409, 'HOST_NAME_TAKEN']);
    expect((await askToJoin(server, { token: spare, hostId, name: 'free', key })).status).toBe(200);
  });

  test('an agent whose answer got lost asks again with the same token and key, and gets in', async () => {
    const request = { token: await token(), hostId: randomUUID(), name: 'lost-answer', key: newKey() };
    expect((await askToJoin(server, request)).status).toBe(200);
    expect((await askToJoin(server, request)).status).toBe(200);
  });

  test('the id of another host is not to be had, whatever token one has', async () => {
    await using victim = await TestAgent.join(server, 'victim', { token: await token() });
    const thief = { token: await token({ uses: 5 }), hostId: victim.hostId, name: 'victim', key: newKey() };
    const answer = await askToJoin(server, thief);
    expect([answer.status, code(answer)]).toEqual([403, 'JOIN_REFUSED']);
    await using other = await TestAgent.join(server, 'other', { token: await token() });
    const dressed = await askToJoin(server, { ...thief, through: other.client });
    expect([dressed.status, code(dressed)]).toEqual([403, 'JOIN_REFUSED']);
  });

  test('a host with its certificate rejoins without a token, under a new name and key', async () => {
    await using agent = await TestAgent.join(server, 'old-name', { token: await token() });
    const unused = `cargo1.${'0'.repeat(64)}.00000000.${'x'.repeat(43)}`;
    const again = { token: unused, hostId: agent.hostId, name: 'new-name', key: newKey(), through: agent.client };
    expect((await askToJoin(server, again)).status).toBe(200);
    expect((await server.call('/v1/hosts/new-name')).body).toMatchObject({ id: agent.hostId });
    expect((await server.call('/v1/hosts/old-name')).status).toBe(404);
  });

  test('a request that is no certificate request, or not for a P-256 key, is refused by name', async () => {
    const { id, secret } = parseJoinToken(await token());
    const tampered = certificateRequest(newKey(), 'x').replace(/\n(.)/, (_, first) => `\n${first === 'M' ? 'N' : 'M'}`);
    for (const csr of ['', 'nonsense', await rsaRequest(), tampered]) {
      const body = { tokenId: id, tokenSecret: secret, hostId: randomUUID(), name: 'x', csr, facts: factsAt('h:1') };
      const answer = await server.call('/v1/join', { token: null, body });
      expect([answer.status, code(answer)]).toEqual([400, 'BAD_REQUEST']);
      expect(JSON.stringify(answer.body)).toContain('csr');
    }
  });
});

describe('agents that are in', () => {
  test('a heartbeat makes a host ready and its containers known', async () => {
    await using agent = await TestAgent.join(server, 'beats', { token: await token() });
    agent.containers = [summary('db')];
    expect((await agent.beat()).status).toBe(200);
    expect((await server.call('/v1/hosts/beats')).body).toMatchObject({ status: 'ready', dataAddress: agent.address });
    await agent.beat({ dockerVersion: null });
    expect((await server.call('/v1/hosts/beats')).body).toMatchObject({ status: 'docker-down' });
  });

  test('a heartbeat that is word for word the last one counts, a changed one too, and a bad one is refused in between', async () => {
    await using agent = await TestAgent.join(server, 'repeats', { token: await token() });
    const shown = async () => {
      const { hosts } = (await server.call('/v1/containers')).body as {
        hosts: { host: Host; containers: unknown[] }[];
      };
      return hosts.find(({ host }) => host.id === agent.hostId);
    };
    agent.respond = () => ({ status: 500, body: null });
    const [first, second] = [[summary('one')], [summary('one'), summary('zwölf')]];
    let seenAt = '';
    for (const containers of [first, first, second, second, first]) {
      agent.containers = containers;
      expect((await agent.beat()).status).toBe(200);
      const host = await shown();
      expect(host?.containers).toEqual(containers);
      expect(host?.host.lastSeenAt.localeCompare(seenAt)).toBe(1);
      seenAt = host?.host.lastSeenAt ?? '';
      const bad = await server.call('/v1/heartbeat', {
        token: null,
        through: agent.client,
        body: { facts: 1, containers },
      });
      expect([bad.status, code(bad)]).toEqual([400, 'BAD_REQUEST']);
    }
  });

  test('the words of another host on another connection are not taken for those of this one', async () => {
    await using one = await TestAgent.join(server, 'same-1', { token: await token() });
    await using two = await TestAgent.join(server, 'same-2', { token: await token() });
    const body = { facts: factsAt('same:1'), containers: [] };
    for (const { client } of [one, two, one]) {
      expect((await server.call('/v1/heartbeat', { token: null, through: client, body })).status).toBe(200);
    }
    for (const { name } of [one, two]) {
      expect((await server.call(`/v1/hosts/${name}`)).body).toMatchObject({ status: 'ready', dataAddress: 'same:1' });
    }
  });

  test('renewing gives a certificate for the new key and the same host', async () => {
    await using agent = await TestAgent.join(server, 'renews', { token: await token() });
    const key = newKey();
    const csr = certificateRequest(key, 'x');
    const answer = await server.call('/v1/renew', { token: null, through: agent.client, body: { csr } });
    const issued = new X509Certificate(JoinResponse.parse(answer.body).certificate);
    expect(issued.subjectAltName).toBe(`URI:cargo://host/${agent.hostId}`);
    expect(issued.publicKey.equals(createPublicKey(key))).toBe(true);
  });

  test('a certificate of another CA is no certificate', async () => {
    await using foreign = await TestServer.start();
    await using agent = await TestAgent.join(foreign, 'foreign');
    const client = new Agent({
      connect: {
        ca: server.ca,
        cert: agent.certificate,
        key: agent.key.export({ type: 'pkcs8', format: 'pem' }).toString(),
      },
    });
    const body = { facts: factsAt('h:1'), containers: [] };
    const answer = await server.call('/v1/heartbeat', { token: null, through: client, body });
    expect([answer.status, code(answer)]).toEqual([401, 'UNAUTHENTICATED']);
    await client.destroy();
  });

  test('a host that the server has lost is told so, and joins again with a token', async () => {
    await using dir = await temporaryDir();
    let known = await TestServer.start({ dir: dir.path });
    await using agent = await TestAgent.join(known, 'lost');
    await known[Symbol.asyncDispose]();
    for (const name of await readdir(dir.path)) if (name.startsWith('cargo.db')) await rm(join(dir.path, name));
    known = await TestServer.start({ dir: dir.path });
    const body = { facts: factsAt('h:1'), containers: [] };
    const lost = await known.call('/v1/heartbeat', { token: null, through: agent.client, body });
    expect([lost.status, code(lost)]).toEqual([404, 'HOST_NOT_FOUND']);
    const rejoin = { hostId: agent.hostId, name: 'lost', key: agent.key, through: agent.client };
    expect((await askToJoin(known, rejoin)).status).toBe(200);
    const beat = await known.call('/v1/heartbeat', { token: null, through: agent.client, body });
    expect(beat.status).toBe(200);
    await known[Symbol.asyncDispose]();
  });
});

async function rsaRequest(): Promise<string> {
  const signingAlgorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const keyOf = { ...signingAlgorithm, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
  const keys = await webcrypto.subtle.generateKey(keyOf, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=x', keys, signingAlgorithm });
  return request.toString('pem');
}
