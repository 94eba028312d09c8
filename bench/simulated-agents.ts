import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import type { Server } from 'node:https';
import { createServer } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { certificateRequest } from '../src/agent/net/csr.ts';
import { abilities, type ContainerSummary, type HostFacts } from '../src/api/host.ts';
import { JoinResponse, parseJoinToken } from '../src/api/join.ts';

/**
 * So many agents in one process, each with a key, a certificate, a port and heartbeats of its own: to the server they are
 * hosts. They answer `GET /v1/containers` and nothing else. Prints "ready" once the server has heard all of them.
 */
const [url = '', dataDir = '', agents = '0', containersEach = '0'] = process.argv.slice(2);
const HEARTBEAT_MS = 2_000;
const ca = fs.readFileSync(`${dataDir}/ca.pem`, 'utf8');
const token = parseJoinToken(fs.readFileSync(`${dataDir}/bench-token`, 'utf8'));
const newcomer = new Agent({ connect: { ca } });

const post = (path: string, body: unknown, dispatcher: Agent): Promise<unknown> =>
  postText(path, JSON.stringify(body), dispatcher);

async function postText(path: string, body: string, dispatcher: Agent): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  const answer = await request(url + path, { method: 'POST', headers, body, dispatcher });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${path}: HTTP ${answer.statusCode}: ${text}`);
  return text === '' ? null : JSON.parse(text);
}

/** Joins as an agent does; returns how its heartbeats are sent. */
async function join(index: number): Promise<() => Promise<unknown>> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const server = createServer({ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const hostId = randomUUID();
  const name = `host-${index}`;
  const facts = factsAt(`127.0.0.1:${portOf(server)}`);
  const csr = certificateRequest(privateKey, name);
  const ask = { tokenId: token.id, tokenSecret: token.secret, hostId, name, csr, facts };
  const { certificate } = JoinResponse.parse(await post('/v1/join', ask, newcomer));
  server.setSecureContext({ key, cert: certificate, ca, minVersion: 'TLSv1.3' });
  const list = listOf(Array.from({ length: Number(containersEach) }, (_, number) => summary(index, number)));
  server.keepAliveTimeout = 75_000;
  server.on('request', (asked, response) => {
    const { text, tag } = list();
    const isKnown = asked.headers['if-none-match'] === tag;
    const status = asked.url !== '/v1/containers' ? 404 : isKnown ? 304 : 200;
    response.writeHead(status, { 'content-type': 'application/json', etag: tag });
    response.end(status === 200 ? `{"containers":${text}}` : undefined);
  });
  const dispatcher = new Agent({ connect: { ca, cert: certificate, key } });
  const before = `{"facts":${JSON.stringify(facts)},"held":[],"containers":`;
  return () => postText('/v1/heartbeat', `${before}${list().text}}`, dispatcher);
}

function portOf(server: Server): number {
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

/** What fails is tried again with the next heartbeat, as agents do: its host shows as stale meanwhile. */
async function keepBeating(beat: () => Promise<unknown>): Promise<never> {
  for (;;) {
    await delay(HEARTBEAT_MS);
    await beat().catch((error: Error) => console.error(`a heartbeat failed: ${error.message}`));
  }
}

function factsAt(dataAddress: string): HostFacts {
  const docker = { dockerVersion: '26.1.5', dockerRoot: '/var/lib/docker', storageDriver: 'overlay2' };
  const machine = { version: '0.1.0', abilities: [...abilities], kernel: '6.18.0', architecture: 'x86_64' };
  return { dataAddress, ...machine, ...docker };
}

const born = Date.now();

type List = { text: string; tag: string };

/**
 * The list as it is now. It is written anew when it is another: two hundred machines would do that work side by side, and here
 * one process does, which would be most of what is measured.
 */
function listOf(containers: readonly ContainerSummary[]): () => List {
  let [youngest, last]: [string, List | null] = ['', null];
  return () => {
    const now = containers.map(aged);
    const status = now[0]?.Status ?? '';
    if (last !== null && status === youngest) return last;
    const text = JSON.stringify(now);
    const tag = `"${createHash('sha1').update(text).digest('base64url')}"`;
    [youngest, last] = [status, { text, tag }];
    return last;
  };
}

/** Docker says of a container younger than a minute how many seconds it is up: one host in ten has such a one. */
function aged(container: ContainerSummary): ContainerSummary {
  const isYoung = container.Names[0]?.endsWith('0-0') ?? false;
  return isYoung ? { ...container, Status: `Up ${Math.round((Date.now() - born) / 1000)} seconds` } : container;
}

/** All that Docker 26 lists of a container with a volume, a network and Compose's labels: 1.5 KB. */
function summary(host: number, number: number): ContainerSummary {
  const id = randomUUID().replaceAll('-', '').repeat(2);
  const image = `sha256:${randomUUID().replaceAll('-', '').repeat(2)}`;
  const compose = 'com.docker.compose';
  const address = `172.18.0.${number + 2}`;
  return {
    Id: id,
    Names: [`/shop-${host}-${number}`],
    Image: 'registry.example.org/shop/service:1.4.2',
    ImageID: image,
    Command: 'docker-entrypoint.sh serve --config /etc/service.yaml',
    Created: 1_447_255_384,
    Ports: [
      { IP: '0.0.0.0', PrivatePort: 8080, PublicPort: 20_000 + number, Type: 'tcp' },
      { IP: '::', PrivatePort: 8080, PublicPort: 20_000 + number, Type: 'tcp' },
    ],
    Labels: {
      [`${compose}.config-hash`]: image.slice(7),
      [`${compose}.container-number`]: '1',
      [`${compose}.image`]: image,
      [`${compose}.project`]: `shop-${host}`,
      [`${compose}.project.working_dir`]: '/srv/shop',
      [`${compose}.service`]: `service-${number}`,
      [`${compose}.version`]: '2.26.1',
    },
    State: 'running',
    Status: 'Up 4 days',
    HostConfig: { NetworkMode: `shop-${host}_default` },
    NetworkSettings: {
      Networks: {
        [`shop-${host}_default`]: {
          ...{ IPAMConfig: null, Links: null, Aliases: null, MacAddress: '02:42:ac:12:00:02', DriverOpts: null },
          ...{ NetworkID: id, EndpointID: id, Gateway: '172.18.0.1', IPAddress: address, IPPrefixLen: 16 },
          ...{ IPv6Gateway: '', GlobalIPv6Address: '', GlobalIPv6PrefixLen: 0, DNSNames: null },
        },
      },
    },
    Mounts: [
      {
        ...{ Type: 'volume', Name: `shop-${host}_data-${number}`, Driver: 'local', Mode: 'z', RW: true },
        ...{ Source: `/var/lib/docker/volumes/shop-${host}_data-${number}/_data`, Destination: '/data' },
        Propagation: '',
      },
    ],
  };
}

const beats: (() => Promise<unknown>)[] = [];
for (let index = 0; index < Number(agents); index += 1) beats.push(await join(index));
for (const beat of beats) await beat();
console.log('ready');
await Promise.all(
  beats.map(async (beat, index) => {
    await delay((HEARTBEAT_MS * index) / beats.length);
    await keepBeating(beat);
  }),
);
