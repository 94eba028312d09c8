import { once } from 'node:events';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestServer } from '../test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

const error = (body: unknown): { code: string; message: string } =>
  (body as { error: { code: string; message: string } }).error;

test('malformed JSON is a 400 with a sentence', async () => {
  const { status, body } = await server.call('/cargo', { raw: '{"source": "h1", ' });
  expect(status).toBe(400);
  expect(error(body)).toEqual({ code: 'BAD_REQUEST', message: 'the body is not valid JSON' });
});

test.each([
  [{ target: 'b', container: 'c' }, 'source: expected string, received undefined'],
  [{ source: 'a', target: 'b', container: 3 }, 'container: expected string, received number'],
  [{ source: 'a', target: 'b', container: 'c', rootfs: 'yes' }, 'rootfs: expected boolean, received string'],
  [{ source: 'a', target: 'b', container: 'c', colour: 'red' }, 'unknown field colour'],
  [[], 'the body: expected object, received array'],
  ['text', 'the body: expected object, received string'],
])('POST /cargo %j names what is wrong', async (given, message) => {
  const { status, body } = await server.call('/cargo', { raw: JSON.stringify(given) });
  expect([status, error(body).code]).toEqual([400, 'BAD_REQUEST']);
  expect(error(body).message).toContain(message);
});

test('a call that needs a body says so when there is none', async () => {
  const { status, body } = await server.call('/v1/migrations', { method: 'POST' });
  expect([status, error(body).code]).toEqual([400, 'BAD_REQUEST']);
});

test('a body that is no JSON by its type is refused with the header to send', async () => {
  const { status, body } = await server.call('/cargo', { raw: 'a=b', headers: { 'content-type': 'text/plain' } });
  expect([status, error(body).code]).toEqual([400, 'BAD_REQUEST']);
  expect(error(body).message).toContain('Content-Type: application/json');
});

test('a wrong query is refused', async () => {
  const unknown = await server.call('/v1/migrations?colour=red');
  expect([unknown.status, error(unknown.body).message]).toEqual([400, 'unknown field colour']);
  expect((await server.call('/v1/migrations?phase=sleeping')).status).toBe(400);
});

test('an unknown path or method is a 404 that says where to look', async () => {
  for (const call of [{ method: 'GET' }, { method: 'PUT' }] as const) {
    const { status, body } = await server.call('/v1/nothing', call);
    expect([status, error(body).code]).toEqual([404, 'NOT_FOUND']);
    expect(error(body).message).toContain('/openapi.json');
  }
  expect((await server.call('/%zz')).status).toBe(400);
});

test('unknown hosts, containers and migrations are 404s with codes of their own', async () => {
  const host = await server.call('/v1/hosts/h9');
  expect([host.status, error(host.body).code]).toEqual([404, 'HOST_NOT_FOUND']);
  const migration = await server.call('/v1/migrations/m9');
  expect([migration.status, error(migration.body).code]).toEqual([404, 'MIGRATION_NOT_FOUND']);
  const container = await server.call('/cargo/replication/c9');
  expect([container.status, error(container.body).code]).toEqual([404, 'MIGRATION_NOT_FOUND']);
});

test.each([
  ['announced by its length', 'length', true],
  ['sent in chunks', 'chunked', true],
  ['without a token', 'length', false],
])('100 MB %s are refused, the client sees the answer, and the server stays small', async (_, how, withToken) => {
  const megabyte = Buffer.alloc(1024 * 1024);
  const before = process.memoryUsage().rss;
  const framing = how === 'length' ? `Content-Length: ${100 * megabyte.length}` : 'Transfer-Encoding: chunked';
  const token = withToken ? `Authorization: Bearer ${server.adminToken}\r\n` : '';
  const head = `POST /cargo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${token}${framing}\r\n\r\n`;
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(server.url).port), ca: server.ca });
  const answer = once(socket, 'data');
  socket.write(head);
  for (let sent = 0; sent < 100; sent += 1) {
    if (how === 'chunked') socket.write('100000\r\n');
    const full = !socket.write(megabyte);
    if (how === 'chunked') socket.write('\r\n');
    if (full) await once(socket, 'drain');
  }
  const [text] = await answer;
  expect(String(text)).toMatch(
    withToken ? /^HTTP\/1.1 413 .*"BODY_TOO_LARGE"/s : /^HTTP\/1.1 401 .*"UNAUTHENTICATED"/s,
  );
  socket.destroy();
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
});
