import { describe, expect, test } from 'vitest';
import { againstServer, json } from './against-server.ts';
import { exampleContainer, exampleHydrating, exampleMigration, h1, h2 } from './examples.ts';

const kit = againstServer();

describe('the spellings of 2015', () => {
  const replication = { start: '2015-11-12 05:38:21', update: '', complete: '', curr: 0, total: 137, completed: false };

  test.each(['--list', '-l'])('%s prints the table of the guide', async (spelling) => {
    await kit.serve({
      'GET /cargo': () => ({ [`/agent/${h2.id}`]: [exampleContainer('testme', 'Up 12 days')] }),
    });
    const { code, stdout } = await kit.home.run([spelling, '--server', kit.server.url]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^HOSTID {23}CONTAINER {28}STATUS\n------- /);
    expect(stdout).toContain(`\n${h2.id}\n                                testme                        Up 12 days\n`);
  });

  test.each(['--migrate', '-migrate'])('%s prints the sentence of the guide', async (spelling) => {
    const args = [spelling, '--source', h1.id, '--container', 'mysqldemo', '--target', h2.id];
    const { code, stdout } = await kit.against({ 'POST /cargo': () => exampleMigration() }, args);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Container Migrated successfully.\n' });
    expect(kit.server.seen[0]?.body).toEqual({ source: h1.id, target: h2.id, container: 'mysqldemo', rootfs: false });
  });

  test('while data is still to come, the lazy copy is mentioned', async () => {
    const args = ['--migrate', '--source', 'h1', '--container', 'mysqldemo', '--target', 'h2', '--rootfs'];
    const { stdout } = await kit.here({ 'POST /cargo': () => exampleHydrating() }, args);
    expect(stdout).toBe('Container Migrated successfully.\nLazy copy is in progress.\n');
  });

  test('--status prints the table of the guide, and with -o json the answer', async () => {
    const routes = { 'GET /cargo/replication/mysqldemo': () => replication };
    const args = ['--status', '--container', 'mysqldemo'];
    const { stdout } = await kit.against(routes, args);
    expect(stdout.split('\n')[2]).toBe('mysqldemo              137             0         2015-11-12 05:38:21     ');
    const asJson = await kit.home.run([...args, '-o', 'json', '--server', kit.server.url]);
    expect(json(asJson.stdout)).toEqual(replication);
  });

  test('--failover prints the sentence of the guide', async () => {
    const routes = { [`POST /cargo/failover/${h2.id}/mysqldemo`]: () => exampleMigration({ phase: 'completed' }) };
    const { code, stdout } = await kit.against(routes, ['--failover', '--target', h2.id, '--container', 'mysqldemo']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Container failover successfully.\n' });
  });

  test('Ctrl-C while the server works says that the migration goes on', async () => {
    const never = () => new Promise(() => undefined);
    await kit.serve({ 'POST /cargo': never });
    const controller = kit.home.run(
      ['--migrate', '--source', 'h1', '--container', 'c1', '--target', 'h2', '--server', kit.server.url],
      { interruptWhen: () => expect.poll(() => kit.server.seen.length, { timeout: 10_000 }).toBe(1) },
    );
    expect(await controller).toMatchObject({ code: 130, stderr: expect.stringContaining('goes on by itself') });
  });
});
