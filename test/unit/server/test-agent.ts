import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { Agent } from 'undici';
import { certificateRequest } from '../../../src/agent/net/csr.ts';
import { abilities, type ContainerSummary, type HostFacts } from '../../../src/api/host.ts';
import { JoinResponse, parseJoinToken } from '../../../src/api/join.ts';
import type { Answer, TestServer } from './test-server.ts';

export type Responder = (request: IncomingMessage & { url: string }, body: unknown) => Reply | Promise<Reply>;
export type Reply = { status?: number; body: unknown; headers?: Record<string, string> };

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

export function factsAt(dataAddress: string): HostFacts {
  return {
    dataAddress,
    version: '0.0.0',
    abilities: [...abilities],
    kernel: '6.18',
    architecture: 'x86_64',
    dockerVersion: '26.1.5',
    dockerRoot: '/var/lib/docker',
    storageDriver: 'overlay2',
  };
}

/** A container as Docker lists it, with a field that Cargo knows nothing of. */
export function summary(name: string, id = randomUUID().replaceAll('-', '').repeat(2)): ContainerSummary {
  return {
    Id: id,
    Names: [`/${name}`],
    Image: 'busybox',
    ImageID: 'sha256:1',
    Command: 'sleep 1',
    Created: 1_447_255_384,
    State: 'running',
    Status: 'Up 4 minutes',
    Ports: [{ PrivatePort: 80, PublicPort: 8080, Type: 'tcp', IP: '0.0.0.0' }],
    Labels: {},
    HostConfig: { NetworkMode: 'default' },
  };
}

export async function askToJoin(
  server: TestServer,
  join: { token?: string; hostId: string; name: string; key: KeyObject; address?: string; through?: Agent },
): Promise<Answer> {
  const token = parseJoinToken(join.token ?? server.joinToken);
  return server.call('/v1/join', {
    token: null,
    ...(join.through === undefined ? {} : { through: join.through }),
    body: {
      tokenId: token.id,
      tokenSecret: token.secret,
      hostId: join.hostId,
      name: join.name,
      csr: certificateRequest(join.key, 'whatever the agent likes'),
      facts: factsAt(join.address ?? '127.0.0.1:1'),
    },
  });
}

/** A host that joined over real TLS and whose agent answers what a test wants it to. Ends with the scope. */
export class TestAgent implements AsyncDisposable {
  readonly hostId: string;
  readonly name: string;
  readonly key: KeyObject;
  readonly certificate: string;
  readonly address: string;
  /** Calls the server with the certificate that this host got. */
  readonly client: Agent;
  respond: Responder;
  containers: ContainerSummary[] = [];
  readonly #listener: Server;
  readonly #server: TestServer;

  private constructor(parts: {
    server: TestServer;
    listener: Server;
    host: { id: string; name: string; key: KeyObject; certificate: string; address: string };
  }) {
    const { id, name, key, certificate, address } = parts.host;
    this.hostId = id;
    this.name = name;
    this.key = key;
    this.certificate = certificate;
    this.address = address;
    this.#server = parts.server;
    this.#listener = parts.listener;
    this.client = new Agent({ connect: { ca: parts.server.ca, cert: certificate, key: pem(key) } });
    this.respond = ({ url }) =>
      url === '/v1/containers' ? { body: { containers: this.containers } } : { status: 404, body: null };
  }

  static async join(server: TestServer, name: string, options: { token?: string } = {}): Promise<TestAgent> {
    const key = newKey();
    const id = randomUUID();
    const listener = createServer();
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const bound = listener.address();
    const address = `127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`;
    const answer = await askToJoin(server, { ...options, hostId: id, name, key, address });
    const { certificate, ca } = JoinResponse.parse(answer.body);
    listener.setSecureContext({ key: pem(key), cert: certificate, ca });
    const agent = new TestAgent({ server, listener, host: { id, name, key, certificate, address } });
    listener.on('request', (request, response) => void agent.#answer(request, response));
    return agent;
  }

  async beat(facts: Partial<HostFacts> = {}): Promise<Answer> {
    const body = { facts: { ...factsAt(this.address), ...facts }, containers: this.containers };
    return this.#server.call('/v1/heartbeat', { token: null, through: this.client, body });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.destroy();
    this.#listener.closeAllConnections();
    this.#listener.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = Buffer.concat(await request.toArray()).toString();
    const body: unknown = text === '' ? null : JSON.parse(text);
    const reply = await this.respond(Object.assign(request, { url: request.url ?? '' }), body);
    const status = reply.status ?? 200;
    response.writeHead(status, { 'content-type': 'application/json', ...reply.headers });
    response.end(status === 304 ? undefined : JSON.stringify(reply.body));
  }
}

function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
