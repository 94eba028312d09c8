import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { failures } from '../../../src/api/failures.ts';
import { againstServer, json } from './against-server.ts';
import { h1 } from './examples.ts';
import { makeIdentity, scriptedServer } from './scripted-server.ts';

const kit = againstServer();

describe('when the server cannot be used', () => {
  test('a server that is not there is said so, with exit code 7', async () => {
    const gone = await scriptedServer({});
    await gone[Symbol.asyncDispose]();
    const { code, stderr } = await kit.home.run(['list', '--server', gone.url, '-o', 'json']);
    expect(code).toBe(7);
    expect(json(stderr)).toEqual({
      error: { code: 'SERVER_UNREACHABLE', message: expect.stringContaining(`${gone.url} (nothing listens there)`) },
    });
  });

  test('a certificate of another CA is refused with what to do', async () => {
    const [identity, other] = await Promise.all([makeIdentity(), makeIdentity()]);
    await kit.serve({}, identity);
    const caFile = join(kit.home.path, 'ca.pem');
    await writeFile(caFile, other.ca);
    const { code, stderr } = await kit.home.run(['list', '--server', kit.server.url, '--ca', caFile]);
    expect(code).toBe(7);
    expect(stderr).toMatch(/not signed by the CA.*--ca/);
    expect(kit.server.seen).toEqual([]);
  });

  test("an agent's certificate of the right CA is not the server's", async () => {
    const identity = await makeIdentity(`cargo://host/${h1.id}`);
    await kit.serve({}, identity);
    const caFile = join(kit.home.path, 'ca.pem');
    await writeFile(caFile, identity.ca);
    const { code, stderr } = await kit.home.run(['list', '--server', kit.server.url, '--ca', caFile], {
      env: { CARGO_TOKEN: 'x' },
    });
    expect(code).toBe(7);
    expect(stderr).toContain('is not the server');
    expect(kit.server.seen).toEqual([]);
  });

  test('TLS spoken to a plain server names the way to reach it', async () => {
    await kit.serve({});
    const { code, stderr } = await kit.home.run(['list', '--server', `127.0.0.1:${kit.server.port}`]);
    expect(code).toBe(7);
    expect(stderr).toContain(`write ${kit.server.url}`);
  });

  test('an answer that is not Cargo’s is said to be so', async () => {
    const { code, stderr } = await kit.against({ 'GET /v1/hosts': () => ({ hello: 'world' }) }, ['hosts']);
    expect(code).toBe(failures.PROTOCOL_ERROR.exitCode);
    expect(stderr).toContain('the same version');
  });
});
