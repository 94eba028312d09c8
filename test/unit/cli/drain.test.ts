import { describe, expect, test } from 'vitest';
import { CargoError } from '../../../src/api/cargo-error.ts';
import type { Plan } from '../../../src/api/plan.ts';
import type { MigrateRequest } from '../../../src/cli/api.ts';
import { againstServer, inTurn, json, MIB } from './against-server.ts';
import { exampleContainer, exampleHydrating, exampleMigration, h1, h2 } from './examples.ts';
import type { Handler, Routes } from './scripted-server.ts';

const kit = againstServer();

/** Ids that differ: the plan of a drain asks by id, and tells the containers apart by it. */
const container = (name: string) => ({ ...exampleContainer(name, 'Up'), Id: name.padEnd(64, '0') });
const nameOf = (body: unknown): string => (body as MigrateRequest).container.replace(/0+$/, '');

function planOf(body: unknown, blockers: string[] = []): Plan {
  const copied = { strategy: 'precopy', reason: null } as const;
  return {
    container: nameOf(body),
    source: 'h1',
    target: (body as MigrateRequest).target,
    strategy: 'precopy',
    image: { reference: 'mariadb:lab', bytes: MIB, presentAtTarget: true },
    mounts: [{ destination: '/data', kind: 'volume', name: 'data', files: 1, bytes: MIB, ...copied }],
    findings: blockers.map((message) => ({ level: 'blocker', code: 'host-port-taken', subject: '80/tcp', message })),
    blocked: blockers.length > 0,
  };
}

/** h1 with the containers `a` and `b`, of which each plan is answered by `plan`. */
function hostWith(plan: Handler, names = ['a', 'b']): Routes {
  const migrated = (body: unknown) => exampleMigration({ container: nameOf(body), id: `m-${nameOf(body)}` });
  return {
    'GET /v1/hosts/h1': () => h1,
    'GET /v1/hosts/h2': () => h2,
    'GET /v1/containers': () => ({ hosts: [{ host: h1, stale: false, containers: names.map(container) }] }),
    'GET /v1/migrations': () => ({ migrations: [] }),
    'POST /v1/plans': plan,
    'POST /v1/migrations': ({ body }) => migrated(body),
    'GET /v1/migrations/m-a': () => exampleMigration({ container: 'a', id: 'm-a' }),
    'GET /v1/migrations/m-b': () => exampleMigration({ container: 'b', id: 'm-b' }),
  };
}

const begun = (): string[] =>
  kit.server.seen
    .filter(({ method, path }) => `${method} ${path}` === 'POST /v1/migrations')
    .map(({ body }) => nameOf(body));

describe('drain', () => {
  test('moves every container and says where each is', async () => {
    const { code, stdout } = await kit.against(
      hostWith(({ body }) => planOf(body)),
      ['drain', 'h1', '--to', 'h2'],
    );
    expect({ code, begun: begun() }).toEqual({ code: 0, begun: ['a', 'b'] });
    expect(stdout).toMatch(/^a +h2 +1\.0 MiB +copied +1\.42 s$/m);
  });

  test('moves nothing when one is blocked, and says why', async () => {
    const plan: Handler = ({ body }) => planOf(body, nameOf(body) === 'b' ? ['taken by other on h2'] : []);
    const { code, stdout } = await kit.against(hostWith(plan), ['drain', 'h1', '--to', 'h2']);
    expect({ code, begun: begun() }).toEqual({ code: 5, begun: [] });
    expect(stdout).toContain('b:  blocker: 80/tcp: taken by other on h2');
  });

  test('a container that a migration holds stands in the way of itself alone', async () => {
    const held = new CargoError('MIGRATION_EXISTS', 'a is on its way already');
    const plan: Handler = ({ body }) => (nameOf(body) === 'a' ? held : planOf(body));
    const all = await kit.against(hostWith(plan), ['drain', 'h1', '--to', 'h2']);
    expect({ code: all.code, begun: begun() }).toEqual({ code: 5, begun: [] });
    const others = await kit.against(hostWith(plan), ['drain', 'h1', '--to', 'h2', '--skip-blocked']);
    expect({ code: others.code, begun: begun() }).toEqual({ code: 0, begun: ['b'] });
    expect(others.stdout).toContain('a:  a is on its way already [MIGRATION_EXISTS]');
  });

  test('what is said of all containers ends it', async () => {
    const plan = () => new CargoError('AGENT_UNREACHABLE', 'the agent of h1 does not answer');
    const { code, stderr } = await kit.against(hostWith(plan), ['drain', 'h1', '--to', 'h2', '--skip-blocked']);
    expect({ code, begun: begun() }).toEqual({ code: 7, begun: [] });
    expect(stderr).toContain('[AGENT_UNREACHABLE]');
  });

  test('a target that nobody knows is refused before anything is planned', async () => {
    const args = ['drain', 'h1', '--to', 'h2', '--to', 'h9'];
    const { code } = await kit.against(
      hostWith(({ body }) => planOf(body)),
      args,
    );
    expect(code).toBe(3);
    expect(kit.server.seen.some(({ method }) => method === 'POST')).toBe(false);
  });

  test('the first target that can take it is taken', async () => {
    const routes = hostWith(({ body }) => planOf(body, (body as MigrateRequest).target === 'h3' ? ['taken'] : []));
    routes['GET /v1/hosts/h3'] = () => ({ ...h2, name: 'h3' });
    const args = ['drain', 'h1', '--to', 'h3', '--to', 'h2', '--dry-run', '-o', 'json'];
    const { code, stdout } = await kit.against(routes, args);
    expect(code).toBe(0);
    expect(json(stdout)).toMatchObject({ moves: [{ plan: { target: 'h2' } }, { plan: { target: 'h2' } }] });
    expect(begun()).toEqual([]);
  });

  test('after a failure nothing else begins, and what failed is named', async () => {
    const routes = hostWith(({ body }) => planOf(body));
    const error = { code: 'CONTAINER_UNHEALTHY', message: 'it runs on h1 again' };
    routes['GET /v1/migrations/m-a'] = () =>
      exampleMigration({ container: 'a', id: 'm-a', phase: 'rolled-back', error });
    routes['POST /v1/migrations'] = ({ body }) =>
      exampleMigration({ container: nameOf(body), id: `m-${nameOf(body)}`, phase: 'staging' });
    const { code, stdout, stderr } = await kit.against(routes, ['drain', 'h1', '--to', 'h2']);
    expect({ code, begun: begun() }).toEqual({ code: 8, begun: ['a'] });
    expect(stdout).toMatch(/^b +h2 +1\.0 MiB +not begun/m);
    expect(stderr).toContain('a could not be moved and stays on h1');
  });

  test('a container has moved once all its data is there, not when it runs: its host may be turned off then', async () => {
    const routes = hostWith(({ body }) => planOf(body));
    const hydrating = exampleHydrating({ container: 'a', id: 'm-a' });
    routes['POST /v1/migrations'] = ({ body }) =>
      nameOf(body) === 'a' ? hydrating : exampleMigration({ container: 'b', id: 'm-b' });
    routes['GET /v1/migrations/m-a'] = inTurn(hydrating, exampleMigration({ container: 'a', id: 'm-a' }));
    const { code, stdout } = await kit.here(routes, ['drain', 'h1', '--to', 'h2']);
    expect(code).toBe(0);
    const notes = stdout.split('\n').slice(0, 5);
    const follows = 'a: runs on h2, its data follows';
    expect(notes).toEqual(['a: to h2', follows, 'a: on h2, downtime 1.42 s', 'b: to h2', 'b: on h2, downtime 1.42 s']);
  });

  test('one that was stopped at the target is not said to stay', async () => {
    const routes = hostWith(({ body }) => planOf(body));
    const error = { code: 'SUSPECT', message: 'a was stopped, for it may have seen wrong data' };
    routes['POST /v1/migrations'] = () => exampleHydrating({ container: 'a', id: 'm-a', error });
    const { code, stderr } = await kit.here(routes, ['drain', 'h1', '--to', 'h2']);
    expect({ code, begun: begun() }).toEqual({ code: 8, begun: ['a'] });
    expect(stderr).toContain('a was stopped at the target');
    expect(stderr).not.toContain('stays on h1');
  });
});
