import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CargoError } from '../../../src/api/cargo-error.ts';
import { againstServer } from './against-server.ts';
import { h1 } from './examples.ts';
import { makeIdentity } from './scripted-server.ts';

const kit = againstServer();

describe('tokens and login', () => {
  test('token create prints the token alone', async () => {
    const routes = {
      'POST /v1/tokens': () => ({ token: 'cargo1.x', expiresAt: '2026-01-01T00:00:00.000Z', uses: 3 }),
    };
    const { stdout } = await kit.against(routes, ['token', 'create', '--uses', '3', '--ttl', '24h']);
    expect(stdout).toBe('cargo1.x\n');
    expect(kit.server.seen[0]?.body).toEqual({ uses: 3, ttlSeconds: 86_400 });
  });

  test('login keeps server, CA and token once they work, and later commands use them', async () => {
    const identity = await makeIdentity();
    await kit.serve({ 'GET /v1/hosts': () => ({ hosts: [h1] }) }, identity);
    const caFile = join(kit.home.path, 'ca.pem');
    await writeFile(caFile, identity.ca);
    const login = await kit.home.run(['login', '--server', `127.0.0.1:${kit.server.port}`, '--ca', caFile], {
      stdin: 'secret\n',
    });
    expect(login).toMatchObject({ code: 0, stderr: '' });
    const path = join(kit.home.path, '.config/cargo/config.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await kit.home.run(['hosts'])).toMatchObject({ code: 0 });
    expect(kit.server.seen.map(({ authorization }) => authorization)).toEqual(['Bearer secret', 'Bearer secret']);
    expect(await kit.home.run(['logout'])).toMatchObject({ code: 0 });
    expect(await kit.home.run(['hosts'])).toMatchObject({ code: 2 });
  });

  test('login with a token that is refused keeps nothing and does not repeat the token', async () => {
    await kit.serve({
      'GET /v1/hosts': () => new CargoError('UNAUTHENTICATED', 'this token is not known'),
    });
    const tokenFile = join(kit.home.path, 'token');
    await writeFile(tokenFile, 'wrong-secret\n');
    const { code, stdout, stderr } = await kit.home.run([
      'login',
      '--server',
      kit.server.url,
      '--token-file',
      tokenFile,
    ]);
    expect(code).toBe(6);
    expect(stdout + stderr).not.toContain('wrong-secret');
    await expect(readFile(join(kit.home.path, '.config/cargo/config.json'))).rejects.toThrow('ENOENT');
  });

  test('a token is never taken from the arguments', async () => {
    expect(await kit.home.run(['login', '--server', 'h:1', '--token', 'secret'])).toMatchObject({ code: 2 });
  });
});
