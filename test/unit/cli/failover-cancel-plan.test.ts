import { describe, expect, test } from 'vitest';
import { againstServer, json, MIB } from './against-server.ts';
import { exampleMigration, exampleStaging, h1 } from './examples.ts';

const kit = againstServer();

describe('failover, cancel and plan', () => {
  test('failover completes the newest migration of the container', async () => {
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleMigration(),
      'POST /v1/migrations/m-1/failover': () => exampleMigration({ phase: 'completed', cleanedUp: true }),
    };
    const { code, stdout } = await kit.against(routes, ['failover', 'mysqldemo', '--to', 'h2', '--cleanup']);
    expect(code).toBe(0);
    expect(stdout).toBe('mysqldemo is complete on h2; nothing of it is left on h1\n');
    expect(kit.server.seen.at(-1)?.body).toEqual({ cleanup: true });
  });

  test('failover --to another host changes nothing', async () => {
    const routes = { 'GET /v1/containers/mysqldemo/migration': () => exampleMigration(), 'GET /v1/hosts/h1': () => h1 };
    const { code, stderr } = await kit.against(routes, ['failover', 'mysqldemo', '--to', 'h1']);
    expect(code).toBe(2);
    expect(stderr).toContain('was moved to h2, not to h1');
    expect(kit.server.seen.every(({ method }) => method === 'GET')).toBe(true);
  });

  test('cancel waits until the container is back', async () => {
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleStaging(1),
      'DELETE /v1/migrations/m-1': () => exampleStaging(1),
      'GET /v1/migrations/m-1': () => exampleStaging(1, { phase: 'rolled-back' }),
    };
    const { code, stdout } = await kit.against(routes, ['cancel', 'mysqldemo']);
    expect(code).toBe(0);
    expect(stdout).toBe('mysqldemo stays on h1\n');
  });

  test('a plan that is blocked is printed and exits with 5', async () => {
    const finding = { level: 'blocker', code: 'host-port-taken', subject: '3306/tcp', message: 'taken by other on h2' };
    const plan = {
      container: 'mysqldemo',
      source: 'h1',
      target: 'h2',
      strategy: 'precopy',
      image: { reference: 'mariadb:lab', bytes: MIB, presentAtTarget: false },
      mounts: [{ destination: '/var/lib/mysql', kind: 'volume', name: 'mysqldata', files: 208, bytes: 155 * MIB }],
      findings: [finding],
      blocked: true,
    };
    const { code, stdout, stderr } = await kit.against({ 'POST /v1/plans': () => plan }, [
      'plan',
      'mysqldemo',
      '--to',
      'h2',
    ]);
    expect(code).toBe(5);
    expect(stdout).toMatch(/^volume +mysqldata at \/var\/lib\/mysql: 155\.0 MiB in 208 files$/m);
    expect(stdout).toContain('  blocker: 3306/tcp: taken by other on h2\n');
    expect(stderr).toContain('[BLOCKED]');
    const asJson = await kit.home.run(['plan', 'mysqldemo', '--to', 'h2', '-o', 'json', '--server', kit.server.url]);
    expect(json(asJson.stdout)).toEqual(plan);
    expect(json(asJson.stderr)).toMatchObject({ error: { code: 'BLOCKED' } });
  });
});
