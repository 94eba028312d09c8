import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Host } from '../../../src/api/host.ts';
import { CreateTokenResponse } from '../../../src/api/join.ts';
import { freePort } from './free-port.ts';
import { Program } from './program.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const Hosts = z.object({ hosts: z.array(Host) });
const heard = 'the server hears this host';

/** One server and one agent as operators run them, without Docker. `life`: of their certificates. */
async function place(root: string, life = '365d') {
  const [server, agent] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const [serverDir, agentDir, tokenFile] = [join(root, 'server'), join(root, 'agent'), join(root, 'token')];
  const options = ['--server', `https://${server}`, '--listen', agent, '--data-dir', agentDir, '--name', 'h1'];
  const token = ['--docker', `unix://${root}/no-docker.sock`, '--join-token-file', tokenFile];
  const call = async (method: 'GET' | 'POST' | 'DELETE', path: string): Promise<unknown> => {
    const ca = await readFile(join(serverDir, 'ca.pem'), 'utf8');
    const admin = (await readFile(join(serverDir, 'admin-token'), 'utf8')).trim();
    const dispatcher = new Agent({ connect: { ca } });
    const headers = { authorization: `Bearer ${admin}` };
    const { body } = await request(`https://${server}${path}`, { method, dispatcher, headers });
    const said = await body.text();
    await dispatcher.destroy();
    return path === '/metrics' ? said : JSON.parse(said);
  };
  return {
    serverDir,
    call,
    startServer: async () => {
      const program = new Program('cargo-server', [
        ...['--listen', server, '--data-dir', serverDir, '--certificate-life', life],
      ]);
      await program.logs('cargo-server is ready');
      return program;
    },
    startAgent: () => new Program('cargo-agent', [...options, ...token]),
    giveToken: async () => writeFile(tokenFile, CreateTokenResponse.parse(await call('POST', '/v1/tokens')).token),
    host: async (): Promise<Host | undefined> => Hosts.parse(await call('GET', '/v1/hosts')).hosts[0],
  };
}

test('a removed host says so and what to do, stays out with the token that it had, and joins anew with a fresh one', async () => {
  await using root = await temporaryDirectory();
  const { startServer, startAgent, giveToken, host, call } = await place(root.path);
  await using _server = await startServer();
  await giveToken();
  await using agent = startAgent();
  await agent.logs(heard);
  const before = await host();
  await call('DELETE', '/v1/hosts/h1');
  await agent.logs('"code":"HOST_REMOVED"');
  await agent.logs('joining again failed');
  expect(agent.log).toContain('make a token with `cargoctl token create`');
  expect(await host()).toBeUndefined();
  await giveToken();
  await agent.logs('joined the server again');
  await agent.logs(heard, 2);
  const after = await host();
  expect(after?.name).toBe('h1');
  expect(after?.id).not.toBe(before?.id);
});

test('certificates are renewed on both sides before they run out, without a restart', { timeout: 40_000 }, async () => {
  await using root = await temporaryDirectory();
  const { startServer, startAgent, giveToken, host, call } = await place(root.path, '15s');
  await using server = await startServer();
  await giveToken();
  await using agent = startAgent();
  await agent.logs(heard);
  await agent.logs('the certificate was renewed');
  await server.logs("the server's certificate was renewed");
  expect(agent.log.split(heard)).toHaveLength(2);
  expect(agent.log).not.toContain('does not hear');
  await expect.poll(host, { timeout: 5_000 }).toMatchObject({ renewalOverdue: false });
  expect(await call('GET', '/metrics')).toMatch(/cargo_host_certificate_seconds_left\{host="h1"\} \d/);
});

test('a host that was away past the end of its certificate says what to do, and comes back as the same host', {
  timeout: 40_000,
}, async () => {
  await using root = await temporaryDirectory();
  const { startServer, startAgent, giveToken, host } = await place(root.path, '5s');
  const first = await startServer();
  await giveToken();
  await using agent = startAgent();
  await agent.logs(heard);
  const before = await host();
  await first.end('SIGKILL');
  await agent.logs('the certificate could not be renewed');
  await agent.logs('the certificate of this host ran out');
  await using _second = await startServer();
  await giveToken();
  await agent.logs('joined the server again');
  expect((await host())?.id).toBe(before?.id);
});
