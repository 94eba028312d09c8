import { describe, expect, test } from 'vitest';
import { CargoError } from '../../../src/api/cargo-error.ts';
import { failures } from '../../../src/api/failures.ts';
import { againstServer, inTurn, json, MIB } from './against-server.ts';
import { exampleHydrating, exampleMigration, exampleStaging, h1, h2 } from './examples.ts';
import { scriptedServer } from './scripted-server.ts';

const kit = againstServer();

describe('migrate', () => {
  test('waits until the container runs there and says how it went', async () => {
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': inTurn(exampleStaging(50 * MIB), exampleMigration()),
    };
    const args = ['migrate', 'mysqldemo', '--from', 'h1', '--to', 'h2', '--bwlimit', '10M', '--rootfs', '--force'];
    const { code, stdout } = await kit.against(routes, [...args, '--strategy', 'precopy']);
    expect(code).toBe(0);
    expect(stdout).toBe(
      'mysqldemo runs on h2 (downtime 1.42 s, 155.0 MiB in 208 files, 3 rounds)\n' +
        'On h1 mysqldemo-moved-1234abcd is kept stopped; `cargoctl failover mysqldemo` lets go of it, with --cleanup it is removed.\n',
    );
    expect(kit.server.seen[0]?.body).toEqual({
      container: 'mysqldemo',
      source: 'h1',
      target: 'h2',
      bwlimit: 10 * MIB,
      rootfs: true,
      force: true,
      strategy: 'precopy',
    });
  });

  test('--precopy-seconds takes no time at all, too', async () => {
    for (const [asked, seconds] of [
      ['0', 0],
      ['2m', 120],
    ] as const) {
      const routes = {
        'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
        'GET /v1/migrations/m-1': inTurn(exampleMigration()),
      };
      const { code } = await kit.against(routes, ['migrate', 'mysqldemo', '--to', 'h2', '--precopy-seconds', asked]);
      expect(code).toBe(0);
      expect(kit.server.seen[0]?.body).toMatchObject({ precopySeconds: seconds });
    }
  });

  test('returns while data still follows, and says so; with --wait once all is there', async () => {
    const routes = () => ({
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': inTurn(exampleHydrating(), exampleMigration()),
    });
    const args = ['migrate', 'mysqldemo', '--to', 'h2'];
    const atOnce = await kit.here(routes(), args);
    expect(atOnce.code).toBe(0);
    expect(atOnce.stdout).toBe(
      'mysqldemo runs on h2 (downtime 1.42 s, 100.0 MiB in 208 files)\n' +
        'Its data follows (50.0 MiB to come): until then h1 must stay up. `cargoctl status mysqldemo --watch` shows it, `cargoctl failover mysqldemo --wait` completes it then.\n',
    );
    expect((await kit.here(routes(), [...args, '--wait'])).stdout).toContain('is kept stopped');
    expect(kit.server.seen).toHaveLength(3);
  });

  test('one whose container was stopped at the target is waited for no longer', async () => {
    const error = { code: 'SUSPECT', message: 'mysqldemo was stopped, for it may have seen wrong data' };
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleHydrating({ error, hydration: [] }),
    };
    const { code, stdout } = await kit.here(routes, ['migrate', 'mysqldemo', '--to', 'h2', '--wait']);
    expect([code, stdout]).toEqual([failures.SUSPECT.exitCode, '']);
  });

  test('does not call a container running that was stopped', async () => {
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleMigration({ downtimeMs: null }),
    };
    const { stdout } = await kit.against(routes, ['migrate', 'mysqldemo', '--to', 'h2']);
    expect(stdout).toMatch(/^mysqldemo is on h2, stopped as it was \(155\.0 MiB in 208 files, 3 rounds\)\n/);
  });

  test('--watch prints plain lines where there is no terminal; with -o json they leave standard output alone', async () => {
    const routes = () => ({
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': inTurn(exampleStaging(50 * MIB), exampleMigration()),
    });
    const table = await kit.against(routes(), ['migrate', 'mysqldemo', '--to', 'h2', '--watch']);
    expect(table.stdout.split('\n').map((line) => line.split(':')[0])).toEqual(
      expect.arrayContaining(['planned', 'staging', 'copied']),
    );
    const asJson = await kit.against(routes(), ['migrate', 'mysqldemo', '--to', 'h2', '--watch', '-o', 'json']);
    expect(json(asJson.stdout)).toEqual(exampleMigration());
    expect(asJson.stderr).toContain('staging: 50%');
  });

  test('--detach returns at once', async () => {
    const routes = { 'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }) };
    const { code, stdout } = await kit.against(routes, [
      'migrate',
      'mysqldemo',
      '--to',
      'h2',
      '--detach',
      '-o',
      'json',
    ]);
    expect(code).toBe(0);
    expect(json(stdout)).toMatchObject({ id: 'm-1', phase: 'planned' });
    expect(kit.server.seen).toHaveLength(1);
  });

  test('a migration that was rolled back fails with its own error', async () => {
    const error = { code: 'CONTAINER_UNHEALTHY', message: 'it did not become healthy on h2; it runs on h1 again' };
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleStaging(0, { phase: 'rolled-back', error }),
    };
    const { code, stdout, stderr } = await kit.against(routes, ['migrate', 'mysqldemo', '--to', 'h2']);
    expect(code).toBe(failures.CONTAINER_UNHEALTHY.exitCode);
    expect(stdout).toBe('');
    expect(stderr).toBe(`cargoctl: ${error.message} [CONTAINER_UNHEALTHY]\n`);
  });

  test('Ctrl-C leaves the migration running and says so', async () => {
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleStaging(50 * MIB),
    };
    const { code, stderr } = await kit.against(routes, ['migrate', 'mysqldemo', '--to', 'h2', '--watch'], {
      interruptOn: 'staging',
    });
    expect(code).toBe(130);
    expect(stderr).toContain('goes on by itself');
    expect(kit.server.seen.some(({ method }) => method === 'DELETE')).toBe(false);
  });

  test('Ctrl-C while data follows speaks of no cancel, which would come too late', async () => {
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleHydrating(),
    };
    const args = ['migrate', 'mysqldemo', '--to', 'h2', '--watch', '--wait'];
    const { code, stderr } = await kit.against(routes, args, { interruptOn: 'hydrating' });
    expect([code, stderr]).toEqual([130, expect.stringContaining('goes on by itself')]);
    expect(stderr).not.toContain('cancel');
  });

  test('the server may be restarted while a migration is followed', async () => {
    const gone = await scriptedServer({
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleStaging(1),
    });
    const running = kit.home.run(['migrate', 'mysqldemo', '--to', 'h2', '--watch', '--server', gone.url]);
    await expect.poll(() => gone.seen.length, { timeout: 10_000 }).toBeGreaterThan(1);
    await gone[Symbol.asyncDispose]();
    await kit.serve({ 'GET /v1/migrations/m-1': () => exampleMigration() }, undefined, gone.port);
    expect(await running).toMatchObject({ code: 0, stdout: expect.stringContaining('mysqldemo runs on h2') });
  });

  test('a container that is on several hosts is refused with what to write', async () => {
    const candidates = [h1, h2].map(({ name, id }) => ({
      host: name,
      hostId: id,
      containerId: 'e1bf478fe8075fa6',
      name: 'mysqldemo',
    }));
    const ambiguous = new CargoError('CONTAINER_AMBIGUOUS', 'mysqldemo is on h1, h2', { details: { candidates } });
    const { code, stderr } = await kit.against({ 'POST /v1/migrations': () => ambiguous }, [
      'migrate',
      'mysqldemo',
      '--to',
      'h2',
    ]);
    expect(code).toBe(4);
    expect(stderr).toContain('--from h1');
    expect(stderr).toContain('--from h2');
  });
});
