import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestAgent } from '../test-agent.ts';
import { TestServer } from '../test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

test('healthz is ok while the Store answers', async () => {
  const { status, body } = await server.call('/healthz', { token: null });
  expect([status, body]).toEqual([200, { status: 'ok' }]);
});

test('the OpenAPI document lists every call with its answers', async () => {
  const { body } = await server.call('/openapi.json', { token: null });
  const { openapi, paths } = body as { openapi: string; paths: Record<string, Record<string, { responses: object }>> };
  expect(openapi).toBe('3.1.0');
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((name) => `${name} ${path}`),
  );
  expect(calls.sort()).toEqual([
    'delete /v1/hosts/{host}',
    'delete /v1/migrations/{id}',
    'get /cargo',
    'get /cargo/failover/{host}/{container}',
    'get /cargo/replication/{container}',
    'get /healthz',
    'get /metrics',
    'get /openapi.json',
    'get /v1/ca',
    'get /v1/containers',
    'get /v1/containers/{container}/migration',
    'get /v1/events',
    'get /v1/hosts',
    'get /v1/hosts/{host}',
    'get /v1/migrations',
    'get /v1/migrations/{id}',
    'patch /v1/migrations/{id}',
    'post /cargo',
    'post /cargo/failover/{host}/{container}',
    'post /v1/heartbeat',
    'post /v1/join',
    'post /v1/migrations',
    'post /v1/migrations/{id}/failover',
    'post /v1/migrations/{id}/recover',
    'post /v1/migrations/{id}/verify',
    'post /v1/plans',
    'post /v1/renew',
    'post /v1/tokens',
  ]);
  expect(Object.keys(paths['/cargo']?.['post']?.responses ?? {})).toEqual(['200', '4XX', '5XX']);
});

test('the metrics count hosts by status, migrations by phase and requests', async () => {
  await using agent = await TestAgent.join(server, 'h1');
  await agent.beat();
  await server.call('/v1/hosts');
  const { body, headers } = await server.call('/metrics', { token: server.readToken });
  expect(headers['content-type']).toMatch(/^text\/plain/);
  expect(body).toContain('cargo_hosts{status="ready"} 1');
  expect(body).toContain('cargo_migrations{phase="copied"} 0');
  expect(body).toMatch(/cargo_http_request_duration_seconds_count\{method="GET",route="\/v1\/hosts",status="200"\} \d/);
  expect(body).toContain('cargo_copied_bytes_total 0');
});
