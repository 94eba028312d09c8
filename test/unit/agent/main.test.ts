import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Host } from '../../../src/api/host.ts';
import { freePort } from './free-port.ts';
import { Program } from './program.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const Hosts = z.object({ hosts: z.array(Host) });
const heard = 'the server hears this host';

/** Where one server and one agent live, on ports and in directories of their own. */
async function place(root: string) {
  const [server, agent] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const [serverDir, agentDir] = [join(root, 'server'), join(root, 'agent')];
  const basic = ['--server', `https://${server}`, '--listen', agent, '--data-dir', agentDir, '--name', 'h1'];
  const withoutDocker = ['--docker', `unix://${root}/no-docker.sock`];
  const token = ['--join-token-file', join(serverDir, 'join-token')];
  return {
    server,
    agent,
    startServer: () => new Program('cargo-server', ['--listen', server, '--data-dir', serverDir]),
    joinHost: () => new Program('cargo-agent', [...basic, ...withoutDocker, ...token]),
    startAgent: () => new Program('cargo-agent', [...basic, ...withoutDocker]),
    hosts: async (): Promise<Host[]> => {
      const ca = await readFile(join(serverDir, 'ca.pem'), 'utf8');
      const token = (await readFile(join(serverDir, 'admin-token'), 'utf8')).trim();
      const dispatcher = new Agent({ connect: { ca } });
      const headers = { authorization: `Bearer ${token}` };
      const answer = await request(`https://${server}/v1/hosts`, { dispatcher, headers });
      const { hosts } = Hosts.parse(await answer.body.json());
      await dispatcher.close();
      return hosts;
    },
  };
}

test('a host joins, is shown, and is the same host after a restart without its token', async () => {
  await using root = await temporaryDirectory();
  const { agent, startServer, joinHost, startAgent, hosts } = await place(root.path);
  await using server = startServer();
  await server.logs('cargo-server is ready');
  await using first = joinHost();
  await first.logs(heard);
  const [joined, ...others] = await hosts();
  expect(others).toEqual([]);
  expect(joined).toMatchObject({ name: 'h1', dataAddress: agent, status: 'docker-down', dockerVersion: null });
  expect(await first.end('SIGTERM')).toBe(0);
  await using second = startAgent();
  await second.logs(heard);
  expect((await hosts()).map(({ id }) => id)).toEqual([joined?.id]);
});

test('a host that is killed while it runs comes back as the same host', async () => {
  await using root = await temporaryDirectory();
  const { startServer, joinHost, startAgent, hosts } = await place(root.path);
  await using server = startServer();
  await server.logs('cargo-server is ready');
  await using first = joinHost();
  await first.logs(heard);
  const before = await hosts();
  await first.end('SIGKILL');
  await using second = startAgent();
  await second.logs(heard);
  expect((await hosts()).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
});

test('an agent outlives its server, says so once, and is heard again when the server is back', async () => {
  await using root = await temporaryDirectory();
  const { startServer, joinHost } = await place(root.path);
  await using server = startServer();
  await server.logs('cargo-server is ready');
  await using agent = joinHost();
  await agent.logs(heard);
  await server.end('SIGKILL');
  await agent.logs('the server does not hear this host');
  await using again = startServer();
  await agent.logs(heard, 2);
  await again.logs('cargo-server is ready');
  expect(agent.log.split('the server does not hear this host').length - 1).toBe(1);
});

test('a second agent on the same data directory is refused', async () => {
  await using root = await temporaryDirectory();
  const { startServer, joinHost, startAgent } = await place(root.path);
  await using server = startServer();
  await server.logs('cargo-server is ready');
  await using first = joinHost();
  await first.logs(heard);
  await using second = startAgent();
  expect(await second.exited()).toBe(2);
  expect(second.log).toContain('another cargo-agent runs on');
});

test('a token that was used up is refused with a sentence and exit status 6, and is in no log', async () => {
  await using root = await temporaryDirectory();
  const { startServer, joinHost, ...home } = await place(root.path);
  await using server = startServer();
  await server.logs('cargo-server is ready');
  const tokenFile = join(root.path, 'server', 'join-token');
  const secret = (await readFile(tokenFile, 'utf8')).trim().split('.').at(-1) ?? '';
  await using first = joinHost();
  await first.logs(heard);
  const serverUrl = `https://${home.server}`;
  const other = ['--listen', `127.0.0.1:${await freePort()}`, '--data-dir', join(root.path, 'other'), '--name', 'h2'];
  await using second = new Program('cargo-agent', ['--server', serverUrl, ...other, '--join-token-file', tokenFile]);
  expect(await second.exited()).toBe(6);
  expect(second.log).toContain('JOIN_REFUSED');
  for (const { log } of [server, first, second]) expect(log).not.toContain(secret);
});
