import { describe, expect, test } from 'vitest';
import type { Migration } from '../../../src/api/migration.ts';
import { againstServer, inTurn, MIB } from './against-server.ts';
import { exampleMigration } from './examples.ts';
import type { Routes } from './scripted-server.ts';

const kit = againstServer();

describe('verify', () => {
  const verification = (changes: object): Migration => {
    const started = '2026-01-01T00:01:00.000Z';
    const counts = { files: 200, bytes: 150 * MIB, changed: 8, differences: 0, differing: [], error: null };
    return exampleMigration({
      verification: { state: 'running', startedAt: started, endedAt: null, ...counts, ...changes },
    });
  };
  const ending = (changes: object): Routes => ({
    'GET /v1/containers/mysqldemo/migration': () => exampleMigration(),
    'POST /v1/migrations/m-1/verify': () => verification({}),
    'GET /v1/migrations/m-1': inTurn(
      verification({}),
      verification({ endedAt: '2026-01-01T00:02:00.000Z', ...changes }),
    ),
  });

  test('waits for the outcome and says what was compared', async () => {
    const { code, stdout } = await kit.against(ending({ state: 'passed' }), ['verify', 'mysqldemo']);
    expect(code).toBe(0);
    expect(stdout).toBe(
      'mysqldemo: 200 files, 150.0 MiB are what the source sent; 8 changed since by the container (2026-01-01T00:02:00.000Z)\n',
    );
  });

  test('what differs is named, with exit code 10', async () => {
    const routes = ending({ state: 'failed', differences: 1, differing: ['db: ibdata1'] });
    const { code, stderr } = await kit.against(routes, ['verify', 'mysqldemo']);
    expect(code).toBe(10);
    expect(stderr).toContain(
      "one entry of mysqldemo on h2 differs from what the source sent: db: ibdata1. Don't fail over",
    );
  });

  test('one that was not finished fails with the reason', async () => {
    const error = { code: 'PEER_UNREACHABLE', message: 'h1 is away' };
    const { code, stderr } = await kit.against(ending({ state: 'unfinished', error }), ['verify', 'mysqldemo']);
    expect([code, stderr]).toEqual([7, 'cargoctl: h1 is away [PEER_UNREACHABLE]\n']);
  });
});
