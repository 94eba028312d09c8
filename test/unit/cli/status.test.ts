import { describe, expect, test } from 'vitest';
import { againstServer, inTurn, json, MIB } from './against-server.ts';
import { exampleHydrating, exampleMigration, exampleStaging, exampleVolume } from './examples.ts';

const kit = againstServer();

describe('status', () => {
  const migration = exampleMigration();

  test('-o json prints the one object of the REST API', async () => {
    const { stdout } = await kit.against({ 'GET /v1/containers/mysqldemo/migration': () => migration }, [
      'status',
      'mysqldemo',
      '-o',
      'json',
    ]);
    expect(json(stdout)).toEqual(migration);
  });

  test('for people has phase, files, bytes, downtime and rounds', async () => {
    const { stdout } = await kit.against({ 'GET /v1/containers/mysqldemo/migration': () => migration }, [
      'status',
      'mysqldemo',
    ]);
    expect(stdout).toMatch(/^phase +copied$/m);
    expect(stdout).toMatch(/^files +208 of 208, 208 verified$/m);
    expect(stdout).toMatch(/^bytes +155\.0 MiB of 155\.0 MiB/m);
    expect(stdout).toMatch(/^downtime +1\.42 s$/m);
    const parts = 'stop 0.55 s, drain 0.02 s, apply 0.11 s, start 0.31 s, between 0.43 s';
    expect(stdout).toMatch(new RegExp(`^switch +${parts.replaceAll('.', '\\.')}$`, 'm'));
    expect(stdout).toMatch(/3 \(final\): 155\.0 MiB in 208 files, 1\.50 s$/m);
  });

  test('while data follows, says of each volume what is missing and what waited for it', async () => {
    const away = { ...exampleVolume, name: 'logs', denied: 3, sourceAway: 'no answer from h1', trouble: ['disk full'] };
    const idle = { ...exampleVolume, name: 'idle', waits: 0, waiting: 0, p50Ms: null, p99Ms: null };
    const hydrating = exampleHydrating({ hydration: [exampleVolume, away, idle], paused: true });
    const { stdout } = await kit.here({ 'GET /v1/containers/mysqldemo/migration': () => hydrating }, [
      'status',
      'mysqldemo',
    ]);
    const lines = stdout.split('\n').map((line) => line.replace(/ +/g, ' '));
    const missing = '104 of 208 files missing, 50.0 MiB';
    expect(lines).toEqual(
      expect.arrayContaining([
        'files 104 of 208, 104 verified',
        'copying paused: `cargoctl resume mysqldemo` goes on; what the container touches still comes',
        `volume mysqldata: ${missing}; 57 waits for data (p50 3.1 ms, p99 41 ms); 2 waiting now`,
        `volume logs: ${missing}; 57 waits for data (p50 3.1 ms, p99 41 ms); 2 waiting now; 3 answered with EIO`,
        ' source away: no answer from h1',
        ' disk full',
        `volume idle: ${missing}; 0 waits for data; 0 waiting now`,
      ]),
    );
  });

  test('without a container shows all migrations', async () => {
    const { stdout } = await kit.against({ 'GET /v1/migrations': () => ({ migrations: [migration] }) }, ['status']);
    expect(stdout.split('\n')[1]).toMatch(/^mysqldemo +h1 +h2 +copied +208\/208 +155\.0 MiB\/155\.0 MiB +1\.42 s/);
  });

  test('--watch follows until all is copied', async () => {
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleStaging(1),
      'GET /v1/migrations/m-1': inTurn(exampleStaging(60 * MIB), migration),
    };
    const { code, stdout } = await kit.against(routes, ['status', 'mysqldemo', '--watch']);
    expect(code).toBe(0);
    expect(stdout).toContain('staging: 60%');
    expect(stdout).toMatch(/^phase +copied$/m);
  });

  test('--watch goes on while data follows', async () => {
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleHydrating(),
      'GET /v1/migrations/m-1': inTurn(exampleHydrating({ paused: true }), migration),
    };
    const { code, stdout } = await kit.here(routes, ['status', 'mysqldemo', '--watch']);
    expect(code).toBe(0);
    expect(stdout).toContain('hydrating: 50%  104/208 files');
    expect(stdout).toMatch(/^phase +copied$/m);
  });

  test('--watch ends where the container was stopped at the target, with why', async () => {
    const error = { code: 'SUSPECT', message: 'mysqldemo was stopped, for it may have seen wrong data' };
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleHydrating(),
      'GET /v1/migrations/m-1': () => exampleHydrating({ error, hydration: [] }),
    };
    const { code, stdout, stderr } = await kit.here(routes, ['status', 'mysqldemo', '--watch']);
    expect([code, stderr]).toEqual([10, `cargoctl: ${error.message} [SUSPECT]\n`]);
    expect(stdout).toMatch(/^error +mysqldemo was stopped/m);
  });
});
