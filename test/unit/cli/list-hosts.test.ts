import { describe, expect, test } from 'vitest';
import { againstServer, json } from './against-server.ts';
import { exampleContainer, exampleHost, h1, h2 } from './examples.ts';

const kit = againstServer();

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
    const { code, stdout } = await kit.against(containers, ['list']);
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
    expect(kit.server.seen[0]?.authorization).toBe('Bearer the-token');
  });

  test('-o json prints what the REST API answered and nothing else', async () => {
    const { stdout } = await kit.against(containers, ['list', '-o', 'json']);
    expect(json(stdout)).toEqual(containers['GET /v1/containers']());
  });

  test('hosts rm says what it did and what is left on the host', async () => {
    const routes = { 'DELETE /v1/hosts/h1?force=false': () => ({ host: h1, kept: ['db-moved-1234'] }) };
    const { stdout, code } = await kit.against(routes, ['hosts', 'rm', 'h1']);
    expect([code, stdout]).toEqual([
      0,
      'h1 is removed and its certificate is void; still on it, stopped: db-moved-1234\n',
    ]);
  });

  test('hosts and hosts list are the same', async () => {
    const routes = { 'GET /v1/hosts': () => ({ hosts: [h2, h1] }) };
    const { stdout } = await kit.against(routes, ['hosts']);
    expect(stdout.split('\n').map((line) => line.split(/ +/)[0])).toEqual(['HOST', 'h1', 'h2', '']);
    expect((await kit.home.run(['hosts', 'list', '--server', kit.server.url])).stdout).toBe(stdout);
  });
});
