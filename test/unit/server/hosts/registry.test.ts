import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HostRecord } from '../../../../src/server/hosts/record.ts';
import { type AskContainers, HostRegistry } from '../../../../src/server/hosts/registry.ts';
import { Revocations } from '../../../../src/server/hosts/revocations.ts';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { temporaryDir } from '../temporary-dir.ts';
import { factsAt, summary } from '../test-agent.ts';

let dir: Awaited<ReturnType<typeof temporaryDir>>;
let store: SqliteStore;
let nowMs = 0;
beforeEach(async () => {
  dir = await temporaryDir();
  store = new SqliteStore(join(dir.path, 'cargo.db'));
  nowMs = Date.parse('2026-01-01T00:00:00Z');
});
afterEach(async () => {
  await store.close();
  await dir[Symbol.asyncDispose]();
});

const log = pino({ level: 'silent' });
const idOf = (digit: number): string => `${String(digit).repeat(8)}-0000-4000-8000-000000000000`;

function record(digit: number, dataAddress = `10.0.0.${digit}:5005`): HostRecord {
  const at = new Date(nowMs).toISOString();
  const facts = factsAt(dataAddress);
  return { id: idOf(digit), name: `h${digit}`, facts, joinedAt: at, lastSeenAt: at, keySha256: '', joinedWith: '' };
}

const nobody: AskContainers = () => Promise.reject(new Error('nobody there'));

async function open(hosts: HostRecord[] = [], ask = nobody): Promise<HostRegistry> {
  const registry = new HostRegistry({ store, ask, revocations: await Revocations.load(store), log, now: () => nowMs });
  await registry.load();
  for (const host of hosts) await registry.keep(host);
  return registry;
}

test('a host is away six seconds after its last heartbeat, and back with the next', async () => {
  const registry = await open([record(1)]);
  const status = async (): Promise<string> => (await registry.get(idOf(1))).status;
  nowMs += 6_000;
  expect(await status()).toBe('ready');
  nowMs += 1;
  expect(await status()).toBe('away');
  await registry.heartbeat(idOf(1), { facts: factsAt('10.0.0.1:5005'), containers: [] });
  expect(await status()).toBe('ready');
  await registry.heartbeat(idOf(1), { facts: { ...factsAt('10.0.0.1:5005'), dockerVersion: null }, containers: null });
  expect(await status()).toBe('docker-down');
});

test('an agent that was started anew is told of, once', async () => {
  const restarted: string[] = [];
  const revocations = await Revocations.load(store);
  const registry = new HostRegistry({ store, ask: nobody, revocations, log, onRestart: (id) => restarted.push(id) });
  await registry.keep(record(1));
  for (const run of ['one', 'one', 'other', 'other']) {
    await registry.heartbeat(idOf(1), { facts: factsAt('10.0.0.1:5005'), containers: [], run });
  }
  expect(restarted).toEqual([idOf(1)]);
});

test('heartbeats that say nothing new are written once a minute at most', async () => {
  const registry = await open([record(1)]);
  const facts = factsAt('10.0.0.1:5005');
  await registry.heartbeat(idOf(1), { facts, containers: [summary('db')] });
  const revision = await store.revision();
  for (let beat = 0; beat < 29; beat += 1) {
    nowMs += 2_000;
    await registry.heartbeat(idOf(1), { facts, containers: [summary(`db-${beat}`)] });
  }
  expect(await store.revision()).toBe(revision);
  nowMs += 4_000;
  await registry.heartbeat(idOf(1), { facts, containers: [] });
  expect(await store.revision()).toBeGreaterThan(revision);
});

test('changed facts are written at once', async () => {
  const registry = await open([record(1)]);
  await registry.heartbeat(idOf(1), { facts: factsAt('10.0.0.1:5005'), containers: [] });
  nowMs += 2_000;
  await registry.heartbeat(idOf(1), { facts: factsAt('10.0.9.9:5005'), containers: [] });
  expect((await store.get(`hosts/${idOf(1)}`))?.value).toContain('10.0.9.9:5005');
});

test('the next server knows the hosts, away, and their last containers, stale', async () => {
  const first = await open([record(1)]);
  const db = summary('db');
  await first.heartbeat(idOf(1), { facts: factsAt('10.0.0.1:5005'), containers: [db] });
  await first.close();
  nowMs += 60_000;
  const second = await open();
  nowMs += 6_001;
  expect(await second.containers(1_000)).toEqual([
    { host: expect.objectContaining({ name: 'h1', status: 'away' }), stale: true, containers: [db] },
  ]);
});

test('a server that has just started asks hosts that it has not heard of yet', async () => {
  const first = await open([record(1)]);
  await first.close();
  nowMs += 60_000;
  const second = await open([], async () => [summary('db')]);
  expect(await second.containers(1_000)).toMatchObject([{ stale: false, containers: [{ Names: ['/db'] }] }]);
});

test('hosts are found by id, name, address with and without port, and the beginning of the id', async () => {
  const registry = await open([record(1), record(2), record(3, '[fd00::3]:5005')]);
  for (const reference of [idOf(1), 'h1', '10.0.0.1', '10.0.0.1:5005', '11111111', '11111111-0000']) {
    expect((await registry.resolve(reference)).name).toBe('h1');
  }
  expect((await registry.resolve('fd00::3')).name).toBe('h3');
  for (const reference of ['h', '1111111', '10.0.0', '10.0.0.1:5006', '']) {
    await expect(registry.resolve(reference)).rejects.toMatchObject({ code: 'HOST_NOT_FOUND' });
  }
  await expect(registry.resolve('nobody')).rejects.toThrow('registered are h1, h2, h3');
});

test('an address that two hosts share is not guessed about', async () => {
  const registry = await open([record(1, '10.0.0.1:5005'), record(2, '10.0.0.1:5006')]);
  await expect(registry.resolve('10.0.0.1')).rejects.toThrow('means several hosts, h1, h2');
  expect((await registry.resolve('10.0.0.1:5006')).name).toBe('h2');
});

test('hosts are listed by name as people count, h2 before h10', async () => {
  const tenth = { ...record(9), name: 'h10' };
  const registry = await open([tenth, record(2), record(1)]);
  expect((await registry.list()).map(({ name }) => name)).toEqual(['h1', 'h2', 'h10']);
});
