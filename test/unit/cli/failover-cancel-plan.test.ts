import { describe, expect, test } from 'vitest';
import { CargoError } from '../../../src/api/cargo-error.ts';
import { againstServer, inTurn, json, MIB } from './against-server.ts';
import { exampleHydrating, exampleMigration, exampleStaging, h1 } from './examples.ts';

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

  test('while data follows, the refusal of the server is shown with its numbers; --wait waits for it', async () => {
    const refused = new CargoError('WRONG_PHASE', '5 bytes of mysqldemo in 2 files are still on h1 alone', {
      details: { filesMissing: 2, bytesMissing: 5 },
    });
    const routes = () => ({
      'GET /v1/containers/mysqldemo/migration': () => exampleHydrating(),
      'GET /v1/migrations/m-1': inTurn(exampleHydrating(), exampleMigration()),
      'POST /v1/migrations/m-1/failover': inTurn(refused),
    });
    const atOnce = await kit.here(routes(), ['failover', 'mysqldemo', '-o', 'json']);
    expect(atOnce.code).toBe(4);
    expect(json(atOnce.stderr)).toEqual(refused.toBody());
    expect(kit.server.seen).toHaveLength(2);
    const completed = { 'POST /v1/migrations/m-1/failover': () => exampleMigration({ phase: 'completed' }) };
    const waited = await kit.here({ ...routes(), ...completed }, ['failover', 'mysqldemo', '--wait']);
    expect(waited).toMatchObject({ code: 0, stdout: expect.stringContaining('mysqldemo is complete on h2') });
    expect(kit.server.seen.map(({ method }) => method)).toEqual(['GET', 'GET', 'GET', 'POST']);
  });

  test('failover --wait of a container that was stopped at the target fails with why', async () => {
    const error = { code: 'SUSPECT', message: 'mysqldemo was stopped, for it may have seen wrong data' };
    const routes = { 'GET /v1/containers/mysqldemo/migration': () => exampleHydrating({ error }) };
    const { code, stderr } = await kit.here(routes, ['failover', 'mysqldemo', '--wait']);
    expect([code, stderr]).toEqual([10, `cargoctl: ${error.message} [SUSPECT]\n`]);
    expect(kit.server.seen).toHaveLength(1);
  });

  test('Ctrl-C while failover waits says that none was done', async () => {
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleHydrating(),
      'GET /v1/migrations/m-1': () => exampleHydrating(),
    };
    const { code, stderr } = await kit.against(routes, ['failover', 'mysqldemo', '--wait'], {
      interruptWhen: () => expect.poll(() => kit.server.seen.length, { timeout: 10_000 }).toBeGreaterThan(1),
    });
    expect([code, stderr]).toEqual([130, expect.stringContaining('no failover was done')]);
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
    const data = { files: 208, bytes: 155 * MIB };
    const plan = {
      container: 'mysqldemo',
      source: 'h1',
      target: 'h2',
      strategy: 'lazy',
      image: { reference: 'mariadb:lab', bytes: MIB, presentAtTarget: false },
      mounts: [
        { ...data, destination: '/var/lib/mysql', kind: 'volume', name: 'mysqldata', strategy: 'lazy', reason: null },
        {
          ...data,
          destination: '/etc/my.cnf',
          kind: 'bind',
          name: '/srv/cnf',
          strategy: 'precopy',
          reason: 'it is used',
        },
      ],
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
    expect(stdout).toMatch(/^volume +mysqldata at \/var\/lib\/mysql: 155\.0 MiB in 208 files; lazy$/m);
    expect(stdout).toMatch(/^bind +\/srv\/cnf at \/etc\/my\.cnf: 155\.0 MiB in 208 files; precopy: it is used$/m);
    expect(stdout).toContain('  blocker: 3306/tcp: taken by other on h2\n');
    expect(stderr).toContain('[BLOCKED]');
    const asJson = await kit.home.run(['plan', 'mysqldemo', '--to', 'h2', '-o', 'json', '--server', kit.server.url]);
    expect(json(asJson.stdout)).toEqual(plan);
    expect(json(asJson.stderr)).toMatchObject({ error: { code: 'BLOCKED' } });
  });
});
