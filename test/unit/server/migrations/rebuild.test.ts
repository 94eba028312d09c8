import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { AgentRecord } from '../../../../src/api/agent-records.ts';
import type { ContainerDefinition } from '../../../../src/api/container-definition.ts';
import { MigrateOptions } from '../../../../src/api/migration.ts';
import { createMigrations } from '../../../../src/server/migrations/index.ts';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { TwoHosts } from './two-hosts.ts';

const log = pino({ level: 'silent' });
const options = MigrateOptions.parse({ container: 'db', target: 'h2' });
const stranger = '99999999-9999-4999-8999-999999999999';

/** A server, and what the agents of its two hosts say that they have records of. */
async function serverHearing(records: Record<'h1' | 'h2', AgentRecord[]>) {
  const dir = await temporaryDir();
  const world = new TwoHosts({ key: 'none', kind: 'fails', times: 0 });
  const store = new SqliteStore(join(dir.path, 'cargo.db'));
  const asked: string[] = [];
  const server = createMigrations({
    ...{ store, hosts: world, agents: world, log },
    records: async ({ name }) => {
      asked.push(name);
      return records[name as 'h1' | 'h2'];
    },
  });
  await server.resume();
  return {
    ...{ server, world, asked, records },
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

type World = Awaited<ReturnType<typeof serverHearing>>;
const idOf = ({ world }: World, name: string): string => world.hosts.find((host) => host.name === name)?.id ?? '';

async function definitionOf(world: TwoHosts): Promise<ContainerDefinition> {
  return (await world.describe()).definition;
}

function record(id: string, peer: string, parts: Partial<AgentRecord>): AgentRecord {
  return AgentRecord.parse({
    ...{ id, epoch: 1, definition: null, peer: { hostId: peer }, source: null, target: null, outcomes: {} },
    ...parts,
  });
}

const serving = { source: { frozen: null, released: false } };
const staged = { target: { permit: 'unused' as const, containerId: 'c', usedBases: [] } };

test('a host that has no part in a migration changes nothing by what it says of it', async () => {
  await using given = await serverHearing({ h1: [], h2: [] });
  const { server, asked } = given;
  const { id } = await server.begin(options, AbortSignal.timeout(10_000));
  const before = await server.untilRunning(id, AbortSignal.timeout(10_000));
  asked.length = 0;
  // What h1 says is asked about in turn: by the third answer the stranger's first words have been dealt with.
  for (const epoch of [1, 2, 3]) {
    server.reported(stranger, [{ id, epoch: 1_000 + epoch }]);
    server.reported(idOf(given, 'h1'), [{ id: 'unknown', epoch }]);
    await expect.poll(() => asked.length).toBeGreaterThanOrEqual(epoch);
  }
  expect(asked).toEqual(['h1', 'h1', 'h1']);
  expect(await server.get(id)).toEqual(before);
});

test('what one host alone says of a migration that nobody ordered makes nothing run on another', async () => {
  await using given = await serverHearing({ h1: [], h2: [] });
  const { server, world, records } = given;
  records.h1 = [record('forged', idOf(given, 'h2'), { ...serving, definition: await definitionOf(world) })];
  server.reported(idOf(given, 'h1'), [{ id: 'forged', epoch: 1 }]);
  await expect.poll(() => server.get('forged').catch(() => null)).toMatchObject({ phase: 'rolled-back' });
  expect([...world.asked].filter((key) => /serve|stage|copy|freeze|start/.test(key))).toEqual([]);
  expect(world.target.staged).toBe(false);
});

test('a host that names one as its source which moves elsewhere is not believed', async () => {
  await using given = await serverHearing({ h1: [], h2: [] });
  const { server, world, records, asked } = given;
  const definition = await definitionOf(world);
  records.h1 = [record('m', stranger, { ...serving, definition })];
  records.h2 = [record('m', idOf(given, 'h1'), { ...staged, definition })];
  server.reported(idOf(given, 'h2'), [{ id: 'm', epoch: 1 }]);
  await expect.poll(() => asked.length).toBeGreaterThanOrEqual(3);
  server.reported(idOf(given, 'h2'), []);
  await expect(server.get('m')).rejects.toMatchObject({ code: 'MIGRATION_NOT_FOUND' });
  expect(world.asked.size).toBe(0);
});

test('control: what both hosts were told of goes on', async () => {
  await using given = await serverHearing({ h1: [], h2: [] });
  const { server, world, records } = given;
  const definition = await definitionOf(world);
  records.h1 = [record('lost', idOf(given, 'h2'), { ...serving, definition })];
  records.h2 = [record('lost', idOf(given, 'h1'), { ...staged, definition })];
  server.reported(idOf(given, 'h1'), [{ id: 'lost', epoch: 1 }]);
  await expect.poll(() => server.get('lost').catch(() => null)).toMatchObject({ phase: 'copied' });
  expect([world.source.running, world.target.running]).toEqual([false, true]);
});
