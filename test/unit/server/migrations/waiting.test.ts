import { expect, test } from 'vitest';
import { Migration } from '../../../../src/api/migration.ts';
import { migratingAgents } from '../migrating-agents.ts';
import { TestServer } from '../test-server.ts';

test('what is waited for is shown as soon as and only while it is, at each loss of contact', async () => {
  await using server = await TestServer.start();
  await using agents = await migratingAgents(server);
  const { respond } = agents.target;
  let contact: 'lost' | 'there' | 'over' = 'there';
  agents.target.respond = (request, body) => {
    if (!request.url.includes('/steps/stage') || contact === 'over') return respond(request, body);
    if (contact === 'lost') request.socket.destroy();
    return { body: { key: 'stage', state: 'running', progress: null, output: null, error: null } };
  };
  const begun = await server.call('/v1/migrations', { body: { container: 'db', target: 'h2' } });
  const { id } = Migration.parse(begun.body);
  const activity = async (): Promise<string> =>
    Migration.parse((await server.call(`/v1/migrations/${id}`)).body).activity;
  const before = 'making the container at the target';
  for (let times = 0; times < 2; times += 1) {
    await expect.poll(activity, { timeout: 5_000 }).toBe(before);
    contact = 'lost';
    await expect.poll(activity, { timeout: 5_000 }).toMatch(/^waiting: no answer from h2/);
    contact = 'there';
  }
  await expect.poll(activity, { timeout: 5_000 }).toBe(before);
  contact = 'over';
  await expect.poll(activity, { timeout: 10_000 }).toMatch(/^the container runs at the target/);
});
