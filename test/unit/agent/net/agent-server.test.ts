import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { pino } from 'pino';
import { Agent, request } from 'undici';
import { expect, test } from 'vitest';
import type { ContainerModule } from '../../../../src/agent/container/module.ts';
import { allHandlers } from '../../../../src/agent/handlers.ts';
import type { MigrationRecord } from '../../../../src/agent/migrations/record.ts';
import { RecordStore } from '../../../../src/agent/migrations/record-store.ts';
import { StepRunner } from '../../../../src/agent/migrations/step-runner.ts';
import type { SendRound } from '../../../../src/agent/migrations/volume-rounds.ts';
import { AdvertisedAddress } from '../../../../src/agent/net/advertised-address.ts';
import { buildAgentServer } from '../../../../src/agent/net/agent-server.ts';
import { HostView } from '../../../../src/agent/net/host-view.ts';
import type { Credentials } from '../../../../src/agent/net/identity.ts';
import { leaveTlsAsTarget } from '../../../../src/agent/net/leave-tls.ts';
import { connectToSource } from '../../../../src/agent/net/peer.ts';
import { ServedRounds } from '../../../../src/agent/net/served-rounds.ts';
import { Trust } from '../../../../src/agent/net/trust.ts';
import type { SealKeys } from '../../../../src/agent/volume/index.ts';
import { DATA_PROTOCOL } from '../../../../src/api/agent-steps.ts';
import { quietHandlers } from '../quiet-handlers.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { TestAuthority } from './test-authority.ts';

const log = pino({ level: 'silent' });
const never = new AbortController().signal;
const sourceId = '11111111-1111-4111-8111-111111111111';
const targetId = '22222222-2222-4222-8222-222222222222';
const strangerId = '33333333-3333-4333-8333-333333333333';
const noContent = { files: 0, deleted: 0, bytes: 0, totalFiles: 0, totalBytes: 0 };

const container: ContainerModule = {
  handlers: quietHandlers,
  letGo: async () => undefined,
  wake: async () => false,
  keepProtected: async () => undefined,
  warm: async () => ({ loaded: Promise.resolve() }),
  connectAhead: () => undefined,
  controlHydration: async () => undefined,
  describe: () => Promise.reject(new Error('not asked for')),
  preflight: () => Promise.reject(new Error('not asked for')),
  containers: async () => [],
  dockerFacts: async () => null,
  exportImage: async (_definition, haveLayers) => Readable.from([`image without ${haveLayers.join()}`]),
};

const mount = {
  ...({ index: 0, kind: 'volume', name: 'db', anonymous: false, path: '/volumes/db/_data', isFile: false } as const),
  strategy: 'precopy' as const,
  ...{ destinations: ['/data'], readOnly: false, labels: {}, driverOpts: {}, files: 1, bytes: 1, fingerprint: null },
};
const definition: MigrationRecord['definition'] = {
  ...{ id: 'c', name: 'c', running: true, inspect: {}, networks: [], mounts: [mount], attached: [] },
  image: {
    id: 'i',
    reference: 'i',
    referenceIsCurrent: true,
    layers: [],
    bytes: 1,
    architecture: 'amd64',
    os: 'linux',
  },
};

/** An agent's server at the source of migration m1, whose target is `targetId`, on loopback. */
async function sourceAgent(
  parts: { send?: SendRound; exportImage?: ContainerModule['exportImage']; thaw?: () => Promise<void> } = {},
) {
  const { send = async () => noContent, exportImage = container.exportImage, thaw = async () => undefined } = parts;
  const directory = await temporaryDirectory();
  const authority = await TestAuthority.make();
  const trustFile = join(directory.path, 'trust.json');
  const trust = await Trust.open(trustFile);
  const records = await RecordStore.open(join(directory.path, 'migrations'), log);
  await records.create('m1');
  await records.update('m1', (record) => ({
    ...record,
    definition,
    peer: { hostId: targetId, name: null, address: null },
    source: { serving: true, frozen: null, released: false },
  }));
  const targetOnly = () => Promise.reject(new Error('this is the source'));
  const rounds = new ServedRounds({ records, send, verify: targetOnly, log });
  const sourcePeer = () => {
    throw new Error('this is the source');
  };
  const own = { ...quietHandlers, thaw: () => thaw().then(() => ({ running: false })) };
  const handlers = allHandlers(
    { ...container, handlers: own },
    { receiveRound: targetOnly, verifyAtTarget: targetOnly },
    rounds,
  );
  const steps = new StepRunner({ records, handlers, sourcePeer, log });
  const listen = { host: '127.0.0.1', port: 0 };
  const view = new HostView(container, new AdvertisedAddress(listen, undefined, new URL('https://127.0.0.1:1')));
  const credentials = await authority.credentials(`cargo://host/${sourceId}`);
  const server = buildAgentServer({
    credentials,
    view,
    container: { ...container, exportImage },
    records,
    steps,
    rounds,
    trust,
    log,
  });
  await server.listen(listen);
  const { port } = server.server.address() as AddressInfo;
  const address = `127.0.0.1:${port}`;
  return {
    authority,
    records,
    rounds,
    trust,
    trustFile,
    address,
    as: (caller: Credentials, hostId = sourceId) =>
      connectToSource({
        migrationId: 'm1',
        peer: { hostId, address },
        credentials: () => caller,
        refuseRevoked: () => {},
      }),
    [Symbol.asyncDispose]: async () => {
      await steps.close(1_000);
      await server.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

type Source = Awaited<ReturnType<typeof sourceAgent>>;

async function call(
  source: Source,
  caller: Credentials,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: string,
  more: Record<string, string> = {},
) {
  const { key, certificate: cert, ca } = caller;
  const dispatcher = new Agent({ connect: { key, cert, ca, checkServerIdentity: () => undefined } });
  try {
    const headers = { ...more, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const options = { method, dispatcher, headers, ...(body === undefined ? {} : { body }) };
    const answer = await request(`https://${source.address}${path}`, options);
    const content = await answer.body.text();
    return { status: answer.statusCode, body: content === '' ? null : (JSON.parse(content) as unknown) };
  } finally {
    await dispatcher.close();
  }
}

test('a host that was removed gets neither image nor data, though its certificate is valid', async () => {
  await using source = await sourceAgent();
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`));
  expect(await text(await target.fetchImage([], never))).toBe('image without ');
  await source.trust.learn({ mayRun: [], term: 0, revoked: { digest: 'd', hostIds: [targetId] } });
  await expect(target.fetchImage([], never)).rejects.toMatchObject({ code: 'HOST_REMOVED' });
  await expect(target.openRound(aRound, never)).rejects.toMatchObject({ code: 'HOST_REMOVED' });
});

test('the target asks nothing of a source that was removed', async () => {
  await using source = await sourceAgent();
  const refuseRevoked = (hostId: string): void => source.trust.refuseRevoked(hostId);
  const caller = await source.authority.credentials(`cargo://host/${targetId}`);
  const peer = { hostId: sourceId, address: source.address };
  const target = connectToSource({ migrationId: 'm1', peer, credentials: () => caller, refuseRevoked });
  await source.trust.learn({ mayRun: [], term: 0, revoked: { digest: 'd', hostIds: [sourceId] } });
  await expect(target.openRound(aRound, never)).rejects.toMatchObject({ code: 'HOST_REMOVED' });
});

test('a certificate that ran out opens no connection', async () => {
  await using source = await sourceAgent();
  const caller = await source.authority.credentials(`cargo://host/${targetId}`);
  const ended = {
    ...caller,
    certificate: await source.authority.issue(keyOf(caller), [`cargo://host/${targetId}`], ago(1)),
  };
  await expect(source.as(ended).fetchImage([], never)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
});

test('a certificate that runs out counts for nothing on the connection that it opened', async () => {
  await using source = await sourceAgent();
  const caller = await source.authority.credentials('cargo://server');
  const cert = await source.authority.issue(keyOf(caller), ['cargo://server'], ago(-3));
  const connect = { key: caller.key, cert, ca: caller.ca, checkServerIdentity: () => undefined };
  const dispatcher = new Agent({ connect, connections: 1, keepAliveTimeout: 60_000 });
  const ask = async (): Promise<number> => {
    const { statusCode, body } = await request(`https://${source.address}/v1/containers`, { dispatcher });
    await body.dump();
    return statusCode;
  };
  expect(await ask()).toBe(200);
  await expect.poll(ask, { timeout: 10_000, interval: 300 }).toBe(403);
  await dispatcher.close();
});

test('a server of an older term is refused once a newer one has called, also after a restart', async () => {
  await using source = await sourceAgent();
  const server = await source.authority.credentials('cargo://server');
  const ask = (term: number): Promise<unknown> =>
    call(source, server, 'GET', '/v1/containers', undefined, { 'cargo-server-term': String(term) });
  expect(await ask(0)).toMatchObject({ status: 200 });
  expect(await ask(7)).toMatchObject({ status: 200 });
  for (const term of [0, 6]) {
    expect(await ask(term)).toMatchObject({ status: 409, body: { error: { code: 'STALE_SERVER' } } });
  }
  expect(await call(source, server, 'GET', '/v1/containers')).toMatchObject({ status: 409 });
  const again = await Trust.open(source.trustFile);
  await expect(again.obey(6)).rejects.toMatchObject({ code: 'STALE_SERVER' });
  await again.obey(7);
});

function keyOf({ key }: Credentials): KeyObject {
  return createPublicKey(createPrivateKey(key));
}

function ago(seconds: number): Date {
  return new Date(Date.now() - seconds * 1_000);
}

const forServerOnly: ['GET' | 'POST' | 'PUT' | 'DELETE', string, string | undefined][] = [
  ['GET', '/v1/facts', undefined],
  ['GET', '/v1/containers', undefined],
  ['POST', '/v1/describe', '{"container":"c"}'],
  ['POST', '/v1/preflight', '{}'],
  ['PUT', '/v1/migrations/m1/steps/thaw', '{"step":"thaw","epoch":1,"input":{}}'],
  ['GET', '/v1/migrations/m1/steps/thaw', undefined],
  ['DELETE', '/v1/migrations/m1', undefined],
];

test.each(forServerOnly)('%s %s is refused to the target of a migration', async (method, path, body) => {
  await using source = await sourceAgent();
  const target = await source.authority.credentials(`cargo://host/${targetId}`);
  const answer = await call(source, target, method, path, body);
  expect(answer).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } });
  expect(source.records.get('m1').epoch).toBe(0);
});

test('the server runs a step and reads its outcome', async () => {
  await using source = await sourceAgent();
  const server = await source.authority.credentials('cargo://server');
  const put = await call(source, server, 'PUT', '/v1/migrations/m1/steps/thaw', '{"step":"thaw","epoch":1,"input":{}}');
  expect(put).toMatchObject({ status: 200, body: { key: 'thaw', state: 'running' } });
  const report = await call(source, server, 'GET', '/v1/migrations/m1/steps/thaw?waitMs=5000');
  expect(report).toMatchObject({ status: 200, body: { state: 'done', output: { running: false } } });
  expect((await call(source, server, 'DELETE', '/v1/migrations/m1')).status).toBe(204);
});

test('a caller without a certificate of the CA gets no connection', async () => {
  await using source = await sourceAgent();
  const foreign = await (await TestAuthority.make()).credentials('cargo://server');
  await expect(call(source, { ...foreign, ca: source.authority.pem }, 'GET', '/v1/facts')).rejects.toThrow();
  const [host, port] = source.address.split(':');
  const bare = connect({ host, port: Number(port), ca: source.authority.pem, checkServerIdentity: () => undefined });
  bare.on('error', () => {});
  bare.write('GET /v1/facts HTTP/1.1\r\nHost: agent\r\n\r\n');
  expect(await text(bare).catch(() => '')).toBe('');
});

test.each([
  ['names nobody', []],
  ['names two', ['cargo://server', `cargo://host/${targetId}`]],
  ['names something else', ['cargo://servers']],
])('a certificate of the CA that %s is refused', async (_what, uris) => {
  await using source = await sourceAgent();
  const caller = await source.authority.credentials(...uris, 'https://example.org');
  expect((await call(source, caller, 'GET', '/v1/facts')).status).toBe(403);
});

test('the target of the migration gets the image without the layers it has', async () => {
  await using source = await sourceAgent();
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`));
  expect(await text(await target.fetchImage(['sha256:a'], never))).toBe('image without sha256:a');
});

test('an image that breaks off is told as a connection that was lost', async () => {
  const halfAnImage = async function* () {
    yield 'half';
    throw new Error('docker died');
  };
  await using source = await sourceAgent({ exportImage: async () => Readable.from(halfAnImage()) });
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`));
  const image = await target.fetchImage([], never);
  await expect(text(image)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
});

test('the target of the migration gets a round over an upgraded connection, in both directions', async () => {
  const requests: unknown[] = [];
  let sourceKeys: SealKeys | null = null;
  await using source = await sourceAgent({
    send: async ({ socket, keys, root, round, final, bwlimit }) => {
      sourceKeys = keys;
      requests.push({ root, round, final, bwlimit });
      const said = nextText(socket);
      socket.resume().write('speak');
      socket.end(`heard ${await said}`);
      return noContent;
    },
  });
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`));
  const { socket, keys } = await target.openRound({ mountIndex: 0, round: 3, final: true, bwlimit: 1_000_000 }, never);
  const call = nextText(socket);
  socket.resume();
  expect(await call).toBe('speak');
  const answer = nextText(socket);
  socket.write('hello');
  expect(await answer).toBe('heard hello');
  const root = { path: '/volumes/db/_data', isFile: false };
  expect(sourceKeys).toEqual({ send: keys?.receive, receive: keys?.send });
  expect(keys?.send).not.toEqual(keys?.receive);
  expect(requests).toEqual([{ root, round: 3, final: true, bwlimit: 1_000_000 }]);
});

/** What a round's connection has read is there during the event only. */
function nextText(socket: Duplex): Promise<string> {
  return new Promise((resolve) => socket.once('data', (bytes) => resolve(String(bytes))));
}

const aRound = { mountIndex: 0, round: 1, final: false, bwlimit: null };

test.each([
  ['another host', `cargo://host/${strangerId}`],
  ['the source itself', `cargo://host/${sourceId}`],
  ['the server', 'cargo://server'],
])('neither image nor data goes to %s', async (_who, uri) => {
  await using source = await sourceAgent();
  const caller = source.as(await source.authority.credentials(uri));
  await expect(caller.fetchImage([], never)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(caller.openRound(aRound, never)).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test.each([
  ['not serving yet', { serving: false, frozen: null, released: false }],
  ['released', { serving: true, frozen: null, released: true }],
])('a migration that is %s is served to nobody', async (_what, state) => {
  await using source = await sourceAgent();
  await source.records.update('m1', (record) => ({ ...record, source: state }));
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`));
  await expect(target.fetchImage([], never)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(target.openRound(aRound, never)).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test('a host that poses as the source is not believed', async () => {
  await using source = await sourceAgent();
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`), strangerId);
  await expect(target.openRound(aRound, never)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
});

test('a round that is asked for again ends the one before it, and thaw ends them all', async () => {
  let active = 0;
  const ended: number[] = [];
  await using source = await sourceAgent({
    send: async ({ round, signal, socket }) => {
      active += 1;
      expect(active).toBe(1);
      socket.write('x');
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      active -= 1;
      ended.push(round);
      throw signal.reason;
    },
  });
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`));
  const open = async (round: number) => {
    const { socket } = await target.openRound({ ...aRound, round }, never);
    const said = nextText(socket);
    socket.resume();
    await said;
  };
  await open(1);
  await open(2);
  expect(ended).toEqual([1]);
  const server = await source.authority.credentials('cargo://server');
  await call(source, server, 'PUT', '/v1/migrations/m1/steps/thaw', '{"step":"thaw","epoch":1,"input":{}}');
  await call(source, server, 'GET', '/v1/migrations/m1/steps/thaw?waitMs=5000');
  expect(ended).toEqual([1, 2]);
});

/** Asks for a round and gets the answer to the upgrade, but does not leave TLS until it is told to. */
async function hesitate(source: Source, caller: Credentials): Promise<() => Duplex> {
  const [host, port] = source.address.split(':');
  const { key, certificate: cert, ca } = caller;
  const tls = connect({ ...{ host, port: Number(port), key, cert, ca }, checkServerIdentity: () => undefined });
  const head = ['GET /v1/migrations/m1/mounts/0/rounds/1?final=0 HTTP/1.1', 'Host: agent', 'Connection: Upgrade'];
  tls.write(`${[...head, `Upgrade: ${DATA_PROTOCOL}`].join('\r\n')}\r\n\r\n`);
  expect(await nextText(tls)).toMatch(/^HTTP\/1.1 101 /);
  return () => leaveTlsAsTarget(tls).socket;
}

async function orderThaw(source: Source): Promise<void> {
  const server = await source.authority.credentials('cargo://server');
  await call(source, server, 'PUT', '/v1/migrations/m1/steps/thaw', '{"step":"thaw","epoch":1,"input":{}}');
}

test.each<[string, (source: Source) => Promise<void>, boolean]>([
  [
    'was removed',
    (source) => source.trust.learn({ mayRun: [], term: 0, revoked: { digest: 'd', hostIds: [targetId] } }),
    false,
  ],
  [
    'is served no more',
    (source) => source.records.update('m1', (record) => ({ ...record, source: null })).then(() => undefined),
    false,
  ],
  ['is in no hurry', async () => undefined, true],
])(
  'a target that hesitates in the upgrade and %s meanwhile gets what it may have then',
  async (_what, change, gets) => {
    let served = false;
    await using source = await sourceAgent({
      send: async () => {
        served = true;
        return noContent;
      },
    });
    const goOn = await hesitate(source, await source.authority.credentials(`cargo://host/${targetId}`));
    await change(source);
    await source.rounds.end('m1');
    const socket = goOn();
    await new Promise((resolve) => socket.resume().once('close', resolve));
    expect(served).toBe(gets);
  },
);

test('an image that is under way ends with the serving of its migration', async () => {
  const endless = async function* () {
    for (;;) {
      yield Buffer.alloc(65_536);
      await delay(5);
    }
  };
  await using source = await sourceAgent({ exportImage: async () => Readable.from(endless()) });
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`));
  const image = await target.fetchImage([], never);
  const ended = new Promise<Error>((resolve) => image.resume().once('error', resolve));
  await orderThaw(source);
  await expect(ended).resolves.toMatchObject({ code: 'PEER_UNREACHABLE' });
});

test('nothing new is served from the beginning of a thaw, however long that takes', async () => {
  const thawing = Promise.withResolvers<void>();
  await using source = await sourceAgent({ thaw: () => thawing.promise });
  const target = source.as(await source.authority.credentials(`cargo://host/${targetId}`));
  await orderThaw(source);
  await expect.poll(() => source.records.get('m1').source?.serving).toBe(false);
  await expect(target.openRound(aRound, never)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  thawing.resolve();
});

test.each<[string, 'GET' | 'PUT' | 'POST', string, string | undefined, number, string]>([
  ['malformed JSON', 'POST', '/v1/describe', '{"container":', 400, 'BAD_REQUEST'],
  ['a wrong body', 'POST', '/v1/describe', '{"name":"c"}', 400, 'BAD_REQUEST'],
  ['an unknown step', 'PUT', '/v1/migrations/m1/steps/melt', '{"step":"melt","epoch":1}', 400, 'BAD_REQUEST'],
  ['an unknown path', 'GET', '/v2/facts', undefined, 404, 'NOT_FOUND'],
  ['a step that was never sent', 'GET', '/v1/migrations/m1/steps/serve', undefined, 404, 'NOT_FOUND'],
  ['an unknown migration', 'GET', '/v1/migrations/m9/steps/serve', undefined, 404, 'MIGRATION_NOT_FOUND'],
  ['a body of 17 MB', 'POST', '/v1/describe', JSON.stringify('x'.repeat(17 << 20)), 413, 'BODY_TOO_LARGE'],
])('%s is answered with a code', async (_what, method, path, body, status, code) => {
  await using source = await sourceAgent();
  const server = await source.authority.credentials('cargo://server');
  expect(await call(source, server, method, path, body)).toMatchObject({ status, body: { error: { code } } });
});
