import { describe, expect, test } from 'vitest';
import { againstServer, inTurn, json, MIB } from './against-server.ts';
import { exampleMigration, exampleStaging } from './examples.ts';

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
    expect(stdout).toMatch(/3 \(final\): 155\.0 MiB in 208 files, 1\.50 s$/m);
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
});
