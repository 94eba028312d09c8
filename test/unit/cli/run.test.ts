import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CargoError } from '../../../src/api/cargo-error.ts';
import { failures } from '../../../src/api/failures.ts';
import type { Migration } from '../../../src/api/migration.ts';
import { cargoctlHome, runHere } from './cargoctl.ts';
import { exampleContainer, exampleHost, exampleMigration, exampleStaging, h1, h2 } from './examples.ts';
import { makeIdentity, type Routes, type ScriptedServer, scriptedServer } from './scripted-server.ts';

const MIB = 1024 * 1024;
const json = (text: string): unknown => JSON.parse(text);
let home: Awaited<ReturnType<typeof cargoctlHome>>;
let server: ScriptedServer | undefined;

beforeEach(async () => {
  home = await cargoctlHome();
});
afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
  await home[Symbol.asyncDispose]();
});

async function against(routes: Routes, args: string[], options: Parameters<typeof home.run>[1] = {}) {
  server = await scriptedServer(routes);
  return home.run(args, { ...options, env: { CARGO_SERVER: server.url, CARGO_TOKEN: 'the-token', ...options.env } });
}

/** Answers the migrations one after the other, the last one for ever. */
function inTurn(...migrations: unknown[]): () => unknown {
  let asked = 0;
  return () => migrations[Math.min(asked++, migrations.length - 1)];
}

describe('list and hosts', () => {
  const away = exampleHost('h3', '11111111-1111-4111-8111-111111111111', 'away');
  const containers = {
    'GET /v1/containers': () => ({
      hosts: [
        { host: away, stale: true, containers: [exampleContainer('old', 'Up 3 days')] },
        { host: h2, stale: false, containers: [] },
        { host: h1, stale: false, containers: [exampleContainer('mysqldemo', 'Up 2 minutes')] },
      ],
    }),
  };

  test('list aligns the containers of all hosts and marks what is stale', async () => {
    const { code, stdout } = await against(containers, ['list']);
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'HOST  CONTAINER  ID            IMAGE        STATUS                        PORTS',
        'h1    mysqldemo  e1bf478fe807  mariadb:lab  Up 2 minutes                  3306->3306/tcp',
        'h2    -          -             -            no containers                 -',
        'h3    old        e1bf478fe807  mariadb:lab  Up 3 days (stale: host away)  3306->3306/tcp',
        '',
      ].join('\n'),
    );
    expect(server?.seen[0]?.authorization).toBe('Bearer the-token');
  });

  test('-o json prints what the REST API answered and nothing else', async () => {
    const { stdout } = await against(containers, ['list', '-o', 'json']);
    expect(json(stdout)).toEqual(containers['GET /v1/containers']());
  });

  test('hosts rm says what it did and what is left on the host', async () => {
    const routes = { 'DELETE /v1/hosts/h1?force=false': () => ({ host: h1, kept: ['db-moved-1234'] }) };
    const { stdout, code } = await against(routes, ['hosts', 'rm', 'h1']);
    expect([code, stdout]).toEqual([
      0,
      'h1 is removed and its certificate is void; still on it, stopped: db-moved-1234\n',
    ]);
  });

  test('hosts and hosts list are the same', async () => {
    const routes = { 'GET /v1/hosts': () => ({ hosts: [h2, h1] }) };
    const { stdout } = await against(routes, ['hosts']);
    expect(stdout.split('\n').map((line) => line.split(/ +/)[0])).toEqual(['HOST', 'h1', 'h2', '']);
    expect((await home.run(['hosts', 'list', '--server', server?.url ?? ''])).stdout).toBe(stdout);
  });
});

describe('migrate', () => {
  test('waits until the container runs there and says how it went', async () => {
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': inTurn(exampleStaging(50 * MIB), exampleMigration()),
    };
    const args = ['migrate', 'mysqldemo', '--from', 'h1', '--to', 'h2', '--bwlimit', '10M', '--rootfs', '--force'];
    const { code, stdout } = await against(routes, [...args, '--strategy', 'precopy']);
    expect(code).toBe(0);
    expect(stdout).toBe(
      'mysqldemo runs on h2 (downtime 1.42 s, 155.0 MiB in 208 files, 3 rounds)\n' +
        'On h1 mysqldemo-moved-1234abcd is kept stopped; `cargoctl failover mysqldemo` lets go of it, with --cleanup it is removed.\n',
    );
    expect(server?.seen[0]?.body).toEqual({
      container: 'mysqldemo',
      source: 'h1',
      target: 'h2',
      bwlimit: 10 * MIB,
      rootfs: true,
      force: true,
      strategy: 'precopy',
    });
  });

  test('does not call a container running that was stopped', async () => {
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleMigration({ downtimeMs: null }),
    };
    const { stdout } = await against(routes, ['migrate', 'mysqldemo', '--to', 'h2']);
    expect(stdout).toMatch(/^mysqldemo is on h2, stopped as it was \(155\.0 MiB in 208 files, 3 rounds\)\n/);
  });

  test('--watch prints plain lines where there is no terminal; with -o json they leave standard output alone', async () => {
    const routes = () => ({
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': inTurn(exampleStaging(50 * MIB), exampleMigration()),
    });
    const table = await against(routes(), ['migrate', 'mysqldemo', '--to', 'h2', '--watch']);
    expect(table.stdout.split('\n').map((line) => line.split(':')[0])).toEqual(
      expect.arrayContaining(['planned', 'staging', 'copied']),
    );
    await server?.[Symbol.asyncDispose]();
    const asJson = await against(routes(), ['migrate', 'mysqldemo', '--to', 'h2', '--watch', '-o', 'json']);
    expect(json(asJson.stdout)).toEqual(exampleMigration());
    expect(asJson.stderr).toContain('staging: 50%');
  });

  test('--detach returns at once', async () => {
    const routes = { 'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }) };
    const { code, stdout } = await against(routes, ['migrate', 'mysqldemo', '--to', 'h2', '--detach', '-o', 'json']);
    expect(code).toBe(0);
    expect(json(stdout)).toMatchObject({ id: 'm-1', phase: 'planned' });
    expect(server?.seen).toHaveLength(1);
  });

  test('a migration that was rolled back fails with its own error', async () => {
    const error = { code: 'CONTAINER_UNHEALTHY', message: 'it did not become healthy on h2; it runs on h1 again' };
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleStaging(0, { phase: 'rolled-back', error }),
    };
    const { code, stdout, stderr } = await against(routes, ['migrate', 'mysqldemo', '--to', 'h2']);
    expect(code).toBe(failures.CONTAINER_UNHEALTHY.exitCode);
    expect(stdout).toBe('');
    expect(stderr).toBe(`cargoctl: ${error.message} [CONTAINER_UNHEALTHY]\n`);
  });

  test('Ctrl-C leaves the migration running and says so', async () => {
    const routes = {
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleStaging(50 * MIB),
    };
    const { code, stderr } = await against(routes, ['migrate', 'mysqldemo', '--to', 'h2', '--watch'], {
      interruptOn: 'staging',
    });
    expect(code).toBe(130);
    expect(stderr).toContain('goes on by itself');
    expect(server?.seen.some(({ method }) => method === 'DELETE')).toBe(false);
  });

  test('the server may be restarted while a migration is followed', async () => {
    const gone = await scriptedServer({
      'POST /v1/migrations': () => exampleStaging(0, { phase: 'planned' }),
      'GET /v1/migrations/m-1': () => exampleStaging(1),
    });
    const running = home.run(['migrate', 'mysqldemo', '--to', 'h2', '--watch', '--server', gone.url]);
    await expect.poll(() => gone.seen.length, { timeout: 10_000 }).toBeGreaterThan(1);
    await gone[Symbol.asyncDispose]();
    server = await scriptedServer({ 'GET /v1/migrations/m-1': () => exampleMigration() }, undefined, gone.port);
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
    const { code, stderr } = await against({ 'POST /v1/migrations': () => ambiguous }, [
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
    const { code, stdout } = await against(ending({ state: 'passed' }), ['verify', 'mysqldemo']);
    expect(code).toBe(0);
    expect(stdout).toBe(
      'mysqldemo: 200 files, 150.0 MiB are what the source sent; 8 changed since by the container (2026-01-01T00:02:00.000Z)\n',
    );
  });

  test('what differs is named, with exit code 10', async () => {
    const routes = ending({ state: 'failed', differences: 1, differing: ['db: ibdata1'] });
    const { code, stderr } = await against(routes, ['verify', 'mysqldemo']);
    expect(code).toBe(10);
    expect(stderr).toContain(
      "one entry of mysqldemo on h2 differs from what the source sent: db: ibdata1. Don't fail over",
    );
  });

  test('one that was not finished fails with the reason', async () => {
    const error = { code: 'PEER_UNREACHABLE', message: 'h1 is away' };
    const { code, stderr } = await against(ending({ state: 'unfinished', error }), ['verify', 'mysqldemo']);
    expect([code, stderr]).toEqual([7, 'cargoctl: h1 is away [PEER_UNREACHABLE]\n']);
  });
});

describe('status', () => {
  const migration = exampleMigration();

  test('-o json prints the one object of the REST API', async () => {
    const { stdout } = await against({ 'GET /v1/containers/mysqldemo/migration': () => migration }, [
      'status',
      'mysqldemo',
      '-o',
      'json',
    ]);
    expect(json(stdout)).toEqual(migration);
  });

  test('for people has phase, files, bytes, downtime and rounds', async () => {
    const { stdout } = await against({ 'GET /v1/containers/mysqldemo/migration': () => migration }, [
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
    const { stdout } = await against({ 'GET /v1/migrations': () => ({ migrations: [migration] }) }, ['status']);
    expect(stdout.split('\n')[1]).toMatch(/^mysqldemo +h1 +h2 +copied +208\/208 +155\.0 MiB\/155\.0 MiB +1\.42 s/);
  });

  test('--watch follows until all is copied', async () => {
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleStaging(1),
      'GET /v1/migrations/m-1': inTurn(exampleStaging(60 * MIB), migration),
    };
    const { code, stdout } = await against(routes, ['status', 'mysqldemo', '--watch']);
    expect(code).toBe(0);
    expect(stdout).toContain('staging: 60%');
    expect(stdout).toMatch(/^phase +copied$/m);
  });
});

describe('failover, cancel and plan', () => {
  test('failover completes the newest migration of the container', async () => {
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleMigration(),
      'POST /v1/migrations/m-1/failover': () => exampleMigration({ phase: 'completed', cleanedUp: true }),
    };
    const { code, stdout } = await against(routes, ['failover', 'mysqldemo', '--to', 'h2', '--cleanup']);
    expect(code).toBe(0);
    expect(stdout).toBe('mysqldemo is complete on h2; nothing of it is left on h1\n');
    expect(server?.seen.at(-1)?.body).toEqual({ cleanup: true });
  });

  test('failover --to another host changes nothing', async () => {
    const routes = { 'GET /v1/containers/mysqldemo/migration': () => exampleMigration(), 'GET /v1/hosts/h1': () => h1 };
    const { code, stderr } = await against(routes, ['failover', 'mysqldemo', '--to', 'h1']);
    expect(code).toBe(2);
    expect(stderr).toContain('was moved to h2, not to h1');
    expect(server?.seen.every(({ method }) => method === 'GET')).toBe(true);
  });

  test('cancel waits until the container is back', async () => {
    const routes = {
      'GET /v1/containers/mysqldemo/migration': () => exampleStaging(1),
      'DELETE /v1/migrations/m-1': () => exampleStaging(1),
      'GET /v1/migrations/m-1': () => exampleStaging(1, { phase: 'rolled-back' }),
    };
    const { code, stdout } = await against(routes, ['cancel', 'mysqldemo']);
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
    const { code, stdout, stderr } = await against({ 'POST /v1/plans': () => plan }, [
      'plan',
      'mysqldemo',
      '--to',
      'h2',
    ]);
    expect(code).toBe(5);
    expect(stdout).toMatch(/^volume +mysqldata at \/var\/lib\/mysql: 155\.0 MiB in 208 files$/m);
    expect(stdout).toContain('  blocker: 3306/tcp: taken by other on h2\n');
    expect(stderr).toContain('[BLOCKED]');
    const asJson = await home.run(['plan', 'mysqldemo', '--to', 'h2', '-o', 'json', '--server', server?.url ?? '']);
    expect(json(asJson.stdout)).toEqual(plan);
    expect(json(asJson.stderr)).toMatchObject({ error: { code: 'BLOCKED' } });
  });
});

describe('tokens and login', () => {
  test('token create prints the token alone', async () => {
    const routes = {
      'POST /v1/tokens': () => ({ token: 'cargo1.x', expiresAt: '2026-01-01T00:00:00.000Z', uses: 3 }),
    };
    const { stdout } = await against(routes, ['token', 'create', '--uses', '3', '--ttl', '24h']);
    expect(stdout).toBe('cargo1.x\n');
    expect(server?.seen[0]?.body).toEqual({ uses: 3, ttlSeconds: 86_400 });
  });

  test('login keeps server, CA and token once they work, and later commands use them', async () => {
    const identity = await makeIdentity();
    server = await scriptedServer({ 'GET /v1/hosts': () => ({ hosts: [h1] }) }, identity);
    const caFile = join(home.path, 'ca.pem');
    await writeFile(caFile, identity.ca);
    const login = await home.run(['login', '--server', `127.0.0.1:${server.port}`, '--ca', caFile], {
      stdin: 'secret\n',
    });
    expect(login).toMatchObject({ code: 0, stderr: '' });
    const path = join(home.path, '.config/cargo/config.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await home.run(['hosts'])).toMatchObject({ code: 0 });
    expect(server.seen.map(({ authorization }) => authorization)).toEqual(['Bearer secret', 'Bearer secret']);
    expect(await home.run(['logout'])).toMatchObject({ code: 0 });
    expect(await home.run(['hosts'])).toMatchObject({ code: 2 });
  });

  test('login with a token that is refused keeps nothing and does not repeat the token', async () => {
    server = await scriptedServer({
      'GET /v1/hosts': () => new CargoError('UNAUTHENTICATED', 'this token is not known'),
    });
    const tokenFile = join(home.path, 'token');
    await writeFile(tokenFile, 'wrong-secret\n');
    const { code, stdout, stderr } = await home.run(['login', '--server', server.url, '--token-file', tokenFile]);
    expect(code).toBe(6);
    expect(stdout + stderr).not.toContain('wrong-secret');
    await expect(readFile(join(home.path, '.config/cargo/config.json'))).rejects.toThrow('ENOENT');
  });

  test('a token is never taken from the arguments', async () => {
    expect(await home.run(['login', '--server', 'h:1', '--token', 'secret'])).toMatchObject({ code: 2 });
  });
});

describe('when the server cannot be used', () => {
  test('a server that is not there is said so, with exit code 7', async () => {
    const gone = await scriptedServer({});
    await gone[Symbol.asyncDispose]();
    const { code, stderr } = await home.run(['list', '--server', gone.url, '-o', 'json']);
    expect(code).toBe(7);
    expect(json(stderr)).toEqual({
      error: { code: 'SERVER_UNREACHABLE', message: expect.stringContaining(`${gone.url} (nothing listens there)`) },
    });
  });

  test('a certificate of another CA is refused with what to do', async () => {
    const [identity, other] = await Promise.all([makeIdentity(), makeIdentity()]);
    server = await scriptedServer({}, identity);
    const caFile = join(home.path, 'ca.pem');
    await writeFile(caFile, other.ca);
    const { code, stderr } = await home.run(['list', '--server', server.url, '--ca', caFile]);
    expect(code).toBe(7);
    expect(stderr).toMatch(/not signed by the CA.*--ca/);
    expect(server.seen).toEqual([]);
  });

  test("an agent's certificate of the right CA is not the server's", async () => {
    const identity = await makeIdentity(`cargo://host/${h1.id}`);
    server = await scriptedServer({}, identity);
    const caFile = join(home.path, 'ca.pem');
    await writeFile(caFile, identity.ca);
    const { code, stderr } = await home.run(['list', '--server', server.url, '--ca', caFile], {
      env: { CARGO_TOKEN: 'x' },
    });
    expect(code).toBe(7);
    expect(stderr).toContain('is not the server');
    expect(server.seen).toEqual([]);
  });

  test('TLS spoken to a plain server names the way to reach it', async () => {
    server = await scriptedServer({});
    const { code, stderr } = await home.run(['list', '--server', `127.0.0.1:${server.port}`]);
    expect(code).toBe(7);
    expect(stderr).toContain(`write ${server.url}`);
  });

  test('an answer that is not Cargo’s is said to be so', async () => {
    const { code, stderr } = await against({ 'GET /v1/hosts': () => ({ hello: 'world' }) }, ['hosts']);
    expect(code).toBe(failures.PROTOCOL_ERROR.exitCode);
    expect(stderr).toContain('the same version');
  });
});

describe('usage', () => {
  test.each([
    [['no-such-command']],
    [['drain', 'h1']],
    [[]],
    [['list', '--nonsense']],
    [['migrate', 'mysqldemo']],
    [['migrate', 'mysqldemo', '--to', 'h2', '--strategy', 'other']],
    [['migrate', 'mysqldemo', '--to', 'h2', '--bwlimit', 'fast']],
    [['migrate', 'mysqldemo', '--to', 'h2', '--detach', '--wait']],
    [['token', 'create', '--ttl', 'long']],
    [['token', 'create', '--uses', '0']],
    [['status', '--watch']],
    [['hosts', 'other']],
    [['list', '-o', 'xml']],
    [['--list', '--status']],
    [['--migrate', '--source', 'h1']],
  ])('%j exits with 2 and leaves standard output empty', async (args) => {
    const { code, stdout, stderr } = await runHere(args, { HOME: home.path, CARGO_SERVER: 'http://127.0.0.1:1' });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('cargoctl');
  });

  test('with -o json a usage error is JSON too', async () => {
    const { stderr } = await home.run(['list', '--nonsense', '-o', 'json']);
    expect(json(stderr)).toMatchObject({ error: { code: 'BAD_REQUEST' } });
  });

  test('the exit codes of all failures are explained in --help', async () => {
    const { code, stdout } = await home.run(['--help']);
    expect(code).toBe(0);
    const explained = stdout.slice(stdout.indexOf('Exit codes:'));
    for (const { exitCode } of Object.values(failures))
      expect(explained).toMatch(new RegExp(`(^| )${exitCode}  ?\\w`, 'm'));
  });

  test('every command has its own --help with the global options', async () => {
    const { stdout } = await home.run(['migrate', '--help']);
    for (const option of ['--bwlimit', '--watch', '--server', '--output']) expect(stdout).toContain(option);
  });
});

describe('the spellings of 2015', () => {
  const replication = { start: '2015-11-12 05:38:21', update: '', complete: '', curr: 0, total: 137, completed: false };

  test.each(['--list', '-l'])('%s prints the table of the guide', async (spelling) => {
    server = await scriptedServer({
      'GET /cargo': () => ({ [`/agent/${h2.id}`]: [exampleContainer('testme', 'Up 12 days')] }),
    });
    const { code, stdout } = await home.run([spelling, '--server', server.url]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^HOSTID {23}CONTAINER {28}STATUS\n------- /);
    expect(stdout).toContain(`\n${h2.id}\n                                testme                        Up 12 days\n`);
  });

  test.each(['--migrate', '-migrate'])('%s prints the sentence of the guide', async (spelling) => {
    const args = [spelling, '--source', h1.id, '--container', 'mysqldemo', '--target', h2.id];
    const { code, stdout } = await against({ 'POST /cargo': () => exampleMigration() }, args);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Container Migrated successfully.\n' });
    expect(server?.seen[0]?.body).toEqual({ source: h1.id, target: h2.id, container: 'mysqldemo', rootfs: false });
  });

  test('while data is still to come, the lazy copy is mentioned', async () => {
    const args = ['--migrate', '--source', 'h1', '--container', 'mysqldemo', '--target', 'h2', '--rootfs'];
    const { stdout } = await against({ 'POST /cargo': () => exampleMigration({ phase: 'switching' }) }, args);
    expect(stdout).toBe('Container Migrated successfully.\nLazy copy is in progress.\n');
  });

  test('--status prints the table of the guide, and with -o json the answer', async () => {
    const routes = { 'GET /cargo/replication/mysqldemo': () => replication };
    const args = ['--status', '--container', 'mysqldemo'];
    const { stdout } = await against(routes, args);
    expect(stdout.split('\n')[2]).toBe('mysqldemo              137             0         2015-11-12 05:38:21     ');
    const asJson = await home.run([...args, '-o', 'json', '--server', server?.url ?? '']);
    expect(json(asJson.stdout)).toEqual(replication);
  });

  test('--failover prints the sentence of the guide', async () => {
    const routes = { [`POST /cargo/failover/${h2.id}/mysqldemo`]: () => exampleMigration({ phase: 'completed' }) };
    const { code, stdout } = await against(routes, ['--failover', '--target', h2.id, '--container', 'mysqldemo']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Container failover successfully.\n' });
  });

  test('Ctrl-C while the server works says that the migration goes on', async () => {
    const never = () => new Promise(() => undefined);
    server = await scriptedServer({ 'POST /cargo': never });
    const controller = home.run(
      ['--migrate', '--source', 'h1', '--container', 'c1', '--target', 'h2', '--server', server.url],
      { interruptWhen: () => expect.poll(() => server?.seen.length, { timeout: 10_000 }).toBe(1) },
    );
    expect(await controller).toMatchObject({ code: 130, stderr: expect.stringContaining('goes on by itself') });
  });
});
