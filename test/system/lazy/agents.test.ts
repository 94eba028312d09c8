import { execFile } from 'node:child_process';
import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { ContainerModule } from '../../../src/agent/container/module.ts';
import { allHandlers } from '../../../src/agent/handlers.ts';
import {
  armVolume,
  controlVolume,
  dropVolume,
  finishVolume,
  stageVolume,
  volumeStatus,
} from '../../../src/agent/lazy/lazy-volume.ts';
import { connectForRanges, type SourceAddress } from '../../../src/agent/lazy/source-address.ts';
import { RecordStore } from '../../../src/agent/migrations/record-store.ts';
import { StepRunner } from '../../../src/agent/migrations/step-runner.ts';
import { AdvertisedAddress } from '../../../src/agent/net/advertised-address.ts';
import { buildAgentServer } from '../../../src/agent/net/agent-server.ts';
import { HostView } from '../../../src/agent/net/host-view.ts';
import type { Credentials } from '../../../src/agent/net/identity.ts';
import { connectToSource } from '../../../src/agent/net/peer.ts';
import { ServedRounds } from '../../../src/agent/net/served-rounds.ts';
import { Trust } from '../../../src/agent/net/trust.ts';
import { receivedRound, receiveRound, sendRound } from '../../../src/agent/volume/index.ts';
import { TestAuthority } from '../../unit/agent/net/test-authority.ts';
import { quietHandlers } from '../../unit/agent/quiet-handlers.ts';
import { Image } from './images.ts';

const log = pino({ level: 'silent' });
const sourceId = '11111111-1111-4111-8111-111111111111';
const targetId = '22222222-2222-4222-8222-222222222222';
const strangerId = '33333333-3333-4333-8333-333333333333';
const unused = () => Promise.reject(new Error('not asked for'));
const container: ContainerModule = {
  ...{ handlers: quietHandlers, letGo: async () => undefined, describe: unused, preflight: unused },
  ...{
    wake: async () => false,
    keepProtected: async () => undefined,
    warm: async () => ({ loaded: Promise.resolve() }),
    connectAhead: () => undefined,
    controlHydration: async () => undefined,
  },
  ...{ containers: async () => [], dockerFacts: async () => null, exportImage: unused },
};
const frozen = {
  ...{ containerId: 'c', wasRunning: true, originalName: 'c', startedAt: '', stopping: true, movedAs: 'c-moved' },
  ...{ restartPolicy: {}, movedAside: [] },
};

let image: Image;
let authority: TestAuthority;
beforeAll(async () => {
  image = new Image('ext4');
  authority = await TestAuthority.make();
});
afterAll(() => image[Symbol.dispose]());

/** The agent of the source of migration m1, whose container is stopped, on a link that can be cut. */
async function sourceAgent(directory: string) {
  const records = await RecordStore.open(join(directory, 'migrations'), log);
  const trust = await Trust.open(join(directory, 'trust.json'));
  const mount = {
    ...({ index: 0, kind: 'volume', name: 'db', anonymous: false, isFile: false, readOnly: false } as const),
    ...{ path: join(directory, 'source'), destinations: ['/data'], labels: {}, driverOpts: {} },
    ...{ files: 1, bytes: 1, fingerprint: null, strategy: 'lazy' as const },
  };
  const noImage = { id: 'i', reference: 'i', referenceIsCurrent: true, layers: [], bytes: 1, architecture: '', os: '' };
  const definition = {
    ...{ id: 'c', name: 'c', running: true, inspect: {}, networks: [], attached: [] },
    ...{ mounts: [mount], image: noImage },
  };
  await records.create('m1');
  await records.update('m1', (record) => ({
    ...record,
    definition,
    peer: { hostId: targetId, name: null, address: null },
    source: { serving: true, frozen, released: false },
  }));
  const rounds = new ServedRounds({ records, send: sendRound, verify: unused, log });
  const handlers = allHandlers(container, { receiveRound: unused, verifyAtTarget: unused }, rounds);
  const sourcePeer = () => {
    throw new Error('this is the source');
  };
  const listen = { host: '127.0.0.1', port: 0 };
  const server = buildAgentServer({
    ...{ container, records, rounds, trust, log },
    credentials: await authority.credentials(`cargo://host/${sourceId}`),
    view: new HostView(container, new AdvertisedAddress(listen, undefined, new URL('https://127.0.0.1:1'))),
    steps: new StepRunner({ records, handlers, sourcePeer, log }),
  });
  await server.listen(listen);
  const wire = await Wire.to((server.server.address() as AddressInfo).port);
  return {
    ...{ records, rounds, trust, wire },
    [Symbol.asyncDispose]: async () => {
      await rounds.close();
      wire[Symbol.dispose]();
      await server.close();
    },
  };
}

/** Passes connections on to a port of this machine. */
class Wire implements Disposable {
  readonly #sockets = new Set<Socket>();
  readonly #server;
  made = 0;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      this.made += 1;
      const far = connect(port, '127.0.0.1');
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
        socket.on('close', () => (socket === near ? far : near).destroy());
      }
    });
  }

  static async to(port: number): Promise<Wire> {
    const wire = new Wire(port);
    await new Promise<void>((resolve) => wire.#server.listen(0, '127.0.0.1', resolve));
    return wire;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connections(): number {
    return this.#sockets.size / 2;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  [Symbol.dispose](): void {
    this.cut();
    this.#server.close();
  }
}

/** As an agent keeps it. */
async function writeIdentity(
  path: string,
  hostId: string,
  validMs = 3_600_000,
  known?: Credentials,
): Promise<Credentials> {
  const made = known ?? (await authority.credentials(`cargo://host/${hostId}`));
  const publicKey = createPublicKey(createPrivateKey(made.key));
  const certificate = await authority.issue(publicKey, [`cargo://host/${hostId}`], new Date(Date.now() + validMs));
  const identity = { hostId, key: made.key, joined: { certificate, ca: authority.pem } };
  fs.writeFileSync(`${path}.new`, JSON.stringify(identity), { mode: 0o600 });
  fs.renameSync(`${path}.new`, path);
  return { key: made.key, certificate, ca: authority.pem };
}

/** Two agents' parts, the source's content, and a target that is staged and armed; the background copy stands still. */
async function lazyAgents() {
  const directory = fs.mkdtempSync(join(image.path, 'agents-'));
  const at = (name: string): string => join(directory, name);
  for (const name of ['source', 'target']) fs.mkdirSync(at(name));
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) fs.writeFileSync(join(at('source'), name), randomBytes(3_000_000));
  const source = await sourceAgent(directory);
  const address = (identity: string): SourceAddress => ({
    ...{ kind: 'agent', address: source.wire.address, hostId: sourceId, migrationId: 'm1', mountIndex: 0 },
    ...{ round: receivedRound(at('state')), identity, trust: at('target-trust.json') },
  });
  const credentials = await writeIdentity(at('identity.json'), targetId);
  const peer = { hostId: sourceId, address: source.wire.address };
  const calls = connectToSource({ migrationId: 'm1', peer, credentials: () => credentials, refuseRevoked: () => {} });
  const signal = AbortSignal.timeout(60_000);
  const request = { mountIndex: 0, round: 1, final: true, bwlimit: null, contentLimit: 65_536 };
  const connection = await calls.openRound(request, signal);
  const root = { path: at('target'), isFile: false };
  await receiveRound({ ...connection, root, stateDir: at('state'), round: 1, signal });
  // The source ends it once it has kept what was sent.
  await finished(connection.socket.resume(), { writable: false, signal });
  connection.socket.destroy();
  const { files } = await stageVolume({
    ...{ path: at('target'), stateDir: at('state'), source: address(at('identity.json')) },
    ...{ bwlimit: 1, waitLimitMs: null },
  });
  expect(files).toBe(names.length);
  return {
    ...{ source, address, at, credentials, stateDir: at('state') },
    content: (name: string): Buffer => fs.readFileSync(join(at('source'), name)),
    /** By a process of its own: this one would wait for itself. */
    read: async (name: string): Promise<Buffer> =>
      (await run('cat', [join(at('target'), name)], { encoding: 'buffer', maxBuffer: 1 << 24 })).stdout,
    [Symbol.asyncDispose]: async () => {
      await dropVolume(at('state'));
      await source[Symbol.asyncDispose]();
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}
const run = promisify(execFile);

test('content travels from agent to agent: over a link that is cut, past the end of a certificate, to the end', async () => {
  await using agents = await lazyAgents();
  const { source, stateDir, at } = agents;
  await armVolume(stateDir);
  expect(await agents.read('a')).toEqual(agents.content('a'));

  const reading = agents.read('b');
  source.wire.cut();
  expect(await reading).toEqual(agents.content('b'));

  // The source ends connections whose certificate ran out; without a new one nothing comes any more.
  await writeIdentity(at('identity.json'), targetId, 3_000, agents.credentials);
  source.wire.cut();
  await expect.poll(async () => (await volumeStatus(stateDir)).sourceAway?.reason).toMatch(/no valid certificate/);
  const late = agents.read('c');
  await expect.poll(async () => (await volumeStatus(stateDir)).waiting).toBeGreaterThan(0);
  await writeIdentity(at('identity.json'), targetId, 3_600_000, agents.credentials);
  expect(await late).toEqual(agents.content('c'));

  await controlVolume(stateDir, { do: 'bwlimit', bytesPerSecond: null });
  await finishVolume(stateDir, AbortSignal.timeout(60_000));
  expect(await agents.read('d')).toEqual(agents.content('d'));
});

test('a stranger, a migration that is over, a container that runs and a host that was removed get nothing', async () => {
  await using agents = await lazyAgents();
  const { source, at, address } = agents;
  await writeIdentity(at('stranger.json'), strangerId);
  await expect(connectForRanges(address(at('stranger.json')))).rejects.toMatchObject({ code: 'FORBIDDEN' });

  const ours = await connectForRanges(address(at('identity.json')));
  const closed = new Promise<void>((resolve) => ours.socket.once('close', () => resolve()));
  // The source speaks first, once it is there.
  await once(ours.socket.resume(), 'data');
  await source.rounds.end('m1');
  await closed;

  const change = (serving: boolean, isFrozen: boolean) =>
    source.records.update('m1', (record) => ({
      ...record,
      source: { serving, frozen: isFrozen ? frozen : null, released: false },
    }));
  await change(false, true);
  await expect(connectForRanges(address(at('identity.json')))).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await change(true, false);
  const early = await connectForRanges(address(at('identity.json')));
  const refused = new Promise<void>((resolve) => early.socket.once('close', () => resolve()));
  early.socket.resume();
  await refused;
  await change(true, true);

  await armVolume(agents.stateDir);
  expect(await agents.read('a')).toEqual(agents.content('a'));
  await source.trust.learn({ mayRun: [], term: 0, revoked: { digest: 'd', hostIds: [targetId] } });
  await expect.poll(() => source.wire.connections, { timeout: 20_000 }).toBe(0);
  await expect(connectForRanges(address(at('identity.json')))).rejects.toMatchObject({ code: 'HOST_REMOVED' });
  for (const kept of ['volume.json', 'hydrator.log']) {
    expect(fs.readFileSync(join(agents.stateDir, kept), 'utf8')).not.toContain('PRIVATE KEY');
  }
});

test('the source keeps its files open from one connection to the next, for some seconds, and not beyond the end', async () => {
  await using agents = await lazyAgents();
  const { source, at, address } = agents;
  const links = (): string[] =>
    fs
      .readdirSync('/proc/self/fd')
      .flatMap((fd) => linkOf(fd))
      .filter((path) => path.startsWith(at('source')));
  expect(links(), 'the target has just listed them').not.toEqual([]);
  await expect.poll(links, { timeout: 15_000 }).toEqual([]);

  const again = await connectForRanges(address(at('identity.json')));
  const closed = new Promise<void>((resolve) => again.socket.once('close', () => resolve()));
  await once(again.socket.resume(), 'data');
  expect(links()).not.toEqual([]);
  await source.rounds.end('m1');
  expect(links()).toEqual([]);
  await closed;
});

test('what follows is of the round that the target has, though the source never heard that it arrived', async () => {
  await using agents = await lazyAgents();
  const { records, rounds } = agents.source;
  await rounds.end('m1');
  const path = join(records.directory('m1'), 'mount-0', 'source.json');
  const state = JSON.parse(fs.readFileSync(path, 'utf8'));
  fs.writeFileSync(path, JSON.stringify({ ...state, acknowledged: null }));
  await armVolume(agents.stateDir);
  expect(await agents.read('a')).toEqual(agents.content('a'));
  const round = '00000000-0000-4000-8000-000000000000';
  const another = { ...agents.address(agents.at('identity.json')), round };
  const { socket } = await connectForRanges(another);
  await expect(once(socket.resume(), 'close')).resolves.toBeDefined();
});

test('files whose thread is lost are opened anew: who waits for them gets them', async () => {
  const posted = vi.spyOn(Worker.prototype, 'postMessage');
  await using agents = await lazyAgents();
  await armVolume(agents.stateDir);
  expect(await agents.read('a')).toEqual(agents.content('a'));
  const threads = new Set(posted.mock.contexts.filter((context) => context instanceof Worker));
  posted.mockRestore();
  await Promise.all([...threads].map((thread) => thread.terminate()));
  expect(await agents.read('b')).toEqual(agents.content('b'));
});

/** Where a descriptor of this process leads to; nowhere if it is closed by now, as that of listing them all is. */
function linkOf(fd: string): string[] {
  try {
    return [fs.readlinkSync(`/proc/self/fd/${fd}`)];
  } catch {
    return [];
  }
}
