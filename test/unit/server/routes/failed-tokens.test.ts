import { randomUUID } from 'node:crypto';
import { Agent } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificateRequest } from '../../../../src/agent/net/csr.ts';
import { parseJoinToken } from '../../../../src/api/join.ts';
import { askToJoin, factsAt, newKey } from '../test-agent.ts';
import { type Answer, TestServer } from '../test-server.ts';

let server: TestServer;
let elsewhere: Agent;
beforeAll(async () => {
  server = await TestServer.start();
  elsewhere = new Agent({ localAddress: '127.0.0.2', connect: { ca: server.ca, localAddress: '127.0.0.2' } });
});
afterAll(async () => {
  await elsewhere.destroy();
  await server[Symbol.asyncDispose]();
});

const told = ({ status, body }: Answer): unknown => [status, (body as { error?: { code: string } }).error?.code];
const limited = [429, 'TOO_MANY_ATTEMPTS'];

test('wrong API tokens are refused with 429 after ten, a right one from elsewhere is not', async () => {
  for (let count = 0; count < 10; count += 1) {
    expect(told(await server.call('/v1/hosts', { token: `wrong-${count}` }))).toEqual([401, 'UNAUTHENTICATED']);
  }
  const refused = await server.call('/v1/hosts', { token: 'wrong' });
  expect(told(refused)).toEqual(limited);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect(told(await server.call('/v1/hosts'))).toEqual(limited);
  expect((await server.call('/v1/hosts', { through: elsewhere })).status).toBe(200);
  expect((await server.call('/healthz', { token: null })).status).toBe(200);
});

test('wrong join tokens are refused with 429 after ten, a right one from elsewhere joins', async () => {
  const wrong = `${server.joinToken.slice(0, -4)}wxyz`;
  const join = (token: string, through?: Agent): Promise<Answer> => {
    const host = { token, hostId: randomUUID(), name: 'guess', key: newKey() };
    return askToJoin(server, through === undefined ? host : { ...host, through });
  };
  for (let count = 0; count < 10; count += 1) expect(told(await join(wrong))).toEqual([403, 'JOIN_REFUSED']);
  const refused = await join(wrong);
  expect(told(refused)).toEqual(limited);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect(told(await join(server.joinToken))).toEqual(limited);
  expect((await join(server.joinToken, elsewhere)).status).toBe(200);
});

test('join tokens that are guessed all at once count as those that are guessed one after the other', async () => {
  await using fresh = await TestServer.start();
  const through = new Agent({ connect: { ca: fresh.ca }, connections: 40 });
  const { id, secret } = parseJoinToken(`${fresh.joinToken.slice(0, -4)}wxyz`);
  const csr = await certificateRequest(newKey(), 'guess');
  const guess = { tokenId: id, tokenSecret: secret, name: 'guess', csr, facts: factsAt('127.0.0.1:1') };
  const body = (): unknown => ({ ...guess, hostId: randomUUID() });
  const all = <T>(ask: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: 40 }, ask));
  // Connections that are open already bring the guesses in the same moment.
  await all(() => fresh.call('/healthz', { token: null, through }));
  const answers = await all(() => fresh.call('/v1/join', { token: null, through, body: body() }));
  await through.destroy();
  expect(answers.filter(({ status }) => status === 403)).toHaveLength(10);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(30);
});
