import { once } from 'node:events';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestServer } from '../test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

const code = (body: unknown): unknown => (body as { error: { code: string } }).error.code;

describe('who may call', () => {
  test('without a token nothing but the public calls is answered', async () => {
    for (const path of ['/cargo', '/v1/hosts', '/metrics', '/v1/events', '/cargo/failover/h1/c']) {
      const { status, body } = await server.call(path, { token: null });
      expect([path, status, code(body)]).toEqual([path, 401, 'UNAUTHENTICATED']);
    }
    for (const path of ['/healthz', '/v1/ca', '/openapi.json']) {
      expect((await server.call(path, { token: null })).status).toBe(200);
    }
  });

  test('a wrong token is told from none, and neither is shown again', async () => {
    const wrong = `${server.adminToken.slice(0, -1)}!`;
    const { status, body } = await server.call('/v1/hosts', { token: wrong });
    expect([status, code(body)]).toEqual([401, 'UNAUTHENTICATED']);
    expect(JSON.stringify(body)).not.toContain(wrong);
    expect((await server.call('/v1/hosts', { token: server.joinToken })).status).toBe(401);
    const basic = await server.call('/v1/hosts', {
      token: null,
      headers: { authorization: `Basic ${server.adminToken}` },
    });
    expect(basic.status).toBe(401);
  });

  test('the read-only token reads, and changes nothing, not even with the GET that fails over', async () => {
    const token = server.readToken;
    expect((await server.call('/v1/hosts', { token })).status).toBe(200);
    expect((await server.call('/cargo', { token })).status).toBe(200);
    const changes = [
      () => server.call('/v1/tokens', { token, body: {} }),
      () => server.call('/cargo', { token, body: { source: 'a', target: 'b', container: 'c' } }),
      () => server.call('/v1/migrations/x', { token, method: 'DELETE' }),
      () => server.call('/v1/migrations/x', { token, method: 'PATCH', body: { paused: true } }),
      () => server.call('/cargo/failover/h1/c', { token }),
      () => server.call('/cargo/failover/h1/c', { token, method: 'POST' }),
    ];
    for (const change of changes) {
      const { status, body } = await change();
      expect([status, code(body)]).toEqual([403, 'FORBIDDEN']);
    }
  });

  test('an API token does not open what is for agents', async () => {
    const { status, body } = await server.call('/v1/heartbeat', { body: { facts: {}, containers: null } });
    expect([status, code(body)]).toEqual([401, 'UNAUTHENTICATED']);
  });

  test('HEAD is no way around the access rules', async () => {
    expect((await server.call('/cargo/failover/h1/c', { method: 'HEAD', token: server.readToken })).status).toBe(404);
  });

  test('TLS older than 1.3 is refused', async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect({ host: hostname, port: Number(port), ca: server.ca, maxVersion: 'TLSv1.2' });
    await expect(once(socket, 'secureConnect')).rejects.toThrow();
    socket.destroy();
  });
});

describe('plain HTTP on loopback', () => {
  test('needs no token', async () => {
    expect((await server.callPlain('/cargo')).body).toEqual({});
    expect((await server.callPlain('/v1/tokens', { body: {} })).status).toBe(201);
  });

  test('has nothing of what agents call', async () => {
    for (const path of ['/v1/join', '/v1/heartbeat', '/v1/renew']) {
      expect((await server.callPlain(path, { body: {} })).status).toBe(404);
    }
  });

  test('is closed to web pages that a browser here has open', async () => {
    const attempts = [{ host: 'evil.example' }, { origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }];
    for (const headers of attempts) {
      const { status, body } = await server.callPlain('/cargo', { headers: headers as Record<string, string> });
      expect([status, code(body)]).toEqual([403, 'FORBIDDEN']);
    }
  });
});
