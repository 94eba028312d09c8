import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { runAgent } from '../../../../src/agent/agent.ts';
import { createContainerModule } from '../../../../src/agent/container/index.ts';
import { receiveRound, sendRound, verifyAtSource, verifyAtTarget } from '../../../../src/agent/volume/index.ts';
import { abilities } from '../../../../src/api/host.ts';
import { freePort } from '../../agent/free-port.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { summary, TestAgent } from '../test-agent.ts';
import { TestServer } from '../test-server.ts';

/** A whole agent, that says it can do only this. */
async function agentThatCan(can: readonly string[], server: TestServer, name: string, dir: string) {
  const log = pino({ level: 'silent' });
  const { token } = (await server.call('/v1/tokens', { body: {} })).body as { token: string };
  const joinTokenFile = join(dir, 'token');
  await writeFile(joinTokenFile, token);
  const stop = new AbortController();
  const options = {
    ...{ server: new URL(server.url), joinTokenFile, listen: { host: '127.0.0.1', port: await freePort() } },
    ...{ dataDir: join(dir, 'data'), name, abilities: can, log },
  };
  const container = createContainerModule({ dockerSocket: join(dir, 'no-docker.sock'), dataDir: options.dataDir, log });
  const volume = { sendRound, receiveRound, verifyAtSource, verifyAtTarget };
  const ended = runAgent(options, { container, volume }, stop.signal);
  await expect.poll(async () => (await server.call(`/v1/hosts/${name}`)).status, { timeout: 10_000 }).toBe(200);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

test.each(['image-transfer', 'gate-volumes'])(
  'a target whose agent lacks %s is refused before it is asked',
  async (lack) => {
    await using dir = await temporaryDir();
    await using server = await TestServer.start();
    await using source = await TestAgent.join(server, 'h1');
    source.containers = [summary('db')];
    await source.beat();
    const can = abilities.filter((ability) => ability !== lack);
    await using _old = await agentThatCan(can, server, 'h2', dir.path);
    for (const path of ['/v1/plans', '/v1/migrations']) {
      const { status, body } = await server.call(path, { body: { container: 'db', target: 'h2' } });
      expect([status, body]).toMatchObject([409, { error: { code: 'BLOCKED', details: { missing: [lack] } } }]);
      expect(JSON.stringify(body)).toMatch(new RegExp(`agent of h2 .*\\(${lack}\\): upgrade cargo-agent there`));
    }
  },
);

test('a source whose agent lacks an ability is refused too', async () => {
  await using server = await TestServer.start();
  const { token } = (await server.call('/v1/tokens', { body: {} })).body as { token: string };
  await using source = await TestAgent.join(server, 'h1');
  await using _target = await TestAgent.join(server, 'h2', { token });
  source.containers = [summary('db')];
  await source.beat({ abilities: [] });
  const { body } = await server.call('/v1/plans', { body: { container: 'db', target: 'h2' } });
  expect(body).toMatchObject({ error: { code: 'BLOCKED', message: expect.stringContaining('agent of h1') } });
});
