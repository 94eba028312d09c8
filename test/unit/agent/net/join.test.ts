import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpsServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { HostIdentity } from '../../../../src/agent/net/identity.ts';
import { ensureJoined } from '../../../../src/agent/net/join.ts';
import { CargoError } from '../../../../src/api/cargo-error.ts';
import type { HostFacts } from '../../../../src/api/host.ts';
import { formatJoinToken, JoinRequest } from '../../../../src/api/join.ts';
import { requestedKey } from '../../../../src/server/pki/authority.ts';
import { freePort } from '../free-port.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { TestAuthority } from './test-authority.ts';

const log = pino({ level: 'silent' });
const never = new AbortController().signal;
const secret = 'x'.repeat(43);
const facts: HostFacts = {
  ...{ dataAddress: '127.0.0.1:5005', version: '0', abilities: [], kernel: 'k', architecture: 'x86_64' },
  ...{ dockerVersion: null, dockerRoot: null, storageDriver: null },
};

type Answer = { status: number; body: unknown };
type FakeServer = { url: URL; requests: JoinRequest[] } & AsyncDisposable;

/** The two routes of the server that joining needs, over real TLS. `shownCa`: what GET /v1/ca says. */
async function joinServer(options: {
  authority: TestAuthority;
  uri?: string;
  shownCa?: string;
  port?: number;
  answer?: (request: JoinRequest) => Promise<Answer>;
}): Promise<FakeServer> {
  const { authority, uri = 'cargo://server' } = options;
  const requests: JoinRequest[] = [];
  const { key, certificate } = await authority.credentials(uri);
  const answer = options.answer ?? ((request) => take(authority, request));
  const server = createHttpsServer({ key, cert: certificate, minVersion: 'TLSv1.3' }, async (request, response) => {
    const isJoin = request.method === 'POST' && request.url === '/v1/join';
    const sent = isJoin ? JoinRequest.parse(await json(request)) : null;
    if (sent !== null) requests.push(sent);
    const { status, body } =
      sent === null ? { status: 200, body: { ca: options.shownCa ?? authority.pem } } : await answer(sent);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: new URL(`https://127.0.0.1:${port}`), requests, [Symbol.asyncDispose]: close };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

async function take(authority: TestAuthority, request: JoinRequest): Promise<Answer> {
  const key = await requestedKey(request.csr);
  const certificate = await authority.issue(key, [`cargo://host/${request.hostId}`]);
  return { status: 200, body: { certificate, ca: authority.pem } };
}

function tokenFor(ca: string): string {
  const caSha256 = createHash('sha256').update(new X509Certificate(ca).raw).digest('hex');
  return formatJoinToken({ caSha256, id: 'abcd1234', secret });
}

/** Everything that a host needs to join, in a directory of its own. */
async function newHost(directory: string, server: URL, token: string) {
  const tokenFile = join(directory, 'token');
  await writeFile(tokenFile, `${token}\n`);
  const identityFile = join(directory, 'identity.json');
  const identity = await HostIdentity.open(identityFile);
  const options = { server, tokenFile, name: 'h1', identity, facts: async () => facts, log, signal: never };
  return { identity, identityFile, options };
}

test('a host joins with its token, and keeps id, key and certificate without it', async () => {
  await using directory = await temporaryDirectory();
  const authority = await TestAuthority.make();
  await using server = await joinServer({ authority });
  const { identity, identityFile, options } = await newHost(directory.path, server.url, tokenFor(authority.pem));
  const credentials = await ensureJoined(options);
  expect(server.requests).toMatchObject([
    { tokenId: 'abcd1234', tokenSecret: secret, hostId: identity.hostId, name: 'h1' },
  ]);
  expect(new X509Certificate(credentials.certificate).subjectAltName).toBe(`URI:cargo://host/${identity.hostId}`);

  const again = await HostIdentity.open(identityFile);
  expect(again.hostId).toBe(identity.hostId);
  const unreachable = new URL('https://127.0.0.1:1');
  const kept = await ensureJoined({ ...options, identity: again, tokenFile: undefined, server: unreachable });
  expect(kept).toEqual(credentials);
  expect((await stat(identityFile)).mode & 0o777).toBe(0o600);
});

test('the request for a certificate is one that the server accepts, for the key of the host', async () => {
  await using directory = await temporaryDirectory();
  const identity = await HostIdentity.open(join(directory.path, 'identity.json'));
  const { key } = z
    .object({ key: z.string() })
    .parse(JSON.parse(await readFile(join(directory.path, 'identity.json'), 'utf8')));
  const requested = await requestedKey(identity.certificateRequest());
  expect(requested.equals(createPublicKey(key))).toBe(true);
});

test('a server whose CA is not the one of the token gets no secret', async () => {
  await using directory = await temporaryDirectory();
  const [authority, other] = [await TestAuthority.make(), await TestAuthority.make()];
  await using server = await joinServer({ authority });
  const { options } = await newHost(directory.path, server.url, tokenFor(other.pem));
  await expect(ensureJoined(options)).rejects.toMatchObject({ code: 'JOIN_REFUSED' });
  expect(server.requests).toEqual([]);
});

test('a server that shows the right CA but has no certificate of it gets no secret', async () => {
  await using directory = await temporaryDirectory();
  const [authority, attacker] = [await TestAuthority.make(), await TestAuthority.make()];
  await using server = await joinServer({ authority: attacker, shownCa: authority.pem });
  const { options } = await newHost(directory.path, server.url, tokenFor(authority.pem));
  const stop = AbortSignal.timeout(1_000);
  await expect(ensureJoined({ ...options, signal: stop })).rejects.toThrow();
  expect(server.requests).toEqual([]);
});

test('another host of the same CA cannot pose as the server', async () => {
  await using directory = await temporaryDirectory();
  const authority = await TestAuthority.make();
  await using server = await joinServer({ authority, uri: 'cargo://host/2f8b0a9e-52a3-4b06-9d34-b7e0f3a3a0b1' });
  const { options } = await newHost(directory.path, server.url, tokenFor(authority.pem));
  await expect(ensureJoined({ ...options, signal: AbortSignal.timeout(1_000) })).rejects.toThrow();
  expect(server.requests).toEqual([]);
});

test('a refusal is final', async () => {
  await using directory = await temporaryDirectory();
  const authority = await TestAuthority.make();
  const refusal = new CargoError('JOIN_REFUSED', 'the join token ran out');
  const answer = async (): Promise<Answer> => ({ status: 403, body: refusal.toBody() });
  await using server = await joinServer({ authority, answer });
  const { options } = await newHost(directory.path, server.url, tokenFor(authority.pem));
  await expect(ensureJoined(options)).rejects.toMatchObject({
    code: 'JOIN_REFUSED',
    message: 'the join token ran out',
  });
  expect(server.requests.length).toBe(1);
});

test('a server that is not there yet is waited for', async () => {
  await using directory = await temporaryDirectory();
  const authority = await TestAuthority.make();
  const port = await freePort();
  const { options } = await newHost(directory.path, new URL(`https://127.0.0.1:${port}`), tokenFor(authority.pem));
  const refused = Promise.withResolvers<void>();
  const watching = pino({ level: 'warn' }, { write: () => refused.resolve() });
  const joining = ensureJoined({ ...options, log: watching });
  await refused.promise;
  await using server = await joinServer({ authority, port });
  await joining;
  expect(server.requests.length).toBe(1);
});

test('a certificate for another key is not taken', async () => {
  await using directory = await temporaryDirectory();
  const authority = await TestAuthority.make();
  const answer = async ({ hostId }: JoinRequest): Promise<Answer> => {
    const { certificate } = await authority.credentials(`cargo://host/${hostId}`);
    return { status: 200, body: { certificate, ca: authority.pem } };
  };
  await using server = await joinServer({ authority, answer });
  const { identity, options } = await newHost(directory.path, server.url, tokenFor(authority.pem));
  await expect(ensureJoined(options)).rejects.toThrow(/another key/);
  expect(identity.credentials()).toBeNull();
});

test('a certificate that ran out counts as none', async () => {
  await using directory = await temporaryDirectory();
  const authority = await TestAuthority.make();
  await using server = await joinServer({ authority });
  const { identity, options } = await newHost(directory.path, server.url, tokenFor(authority.pem));
  const { certificate } = await ensureJoined(options);
  const end = new X509Certificate(certificate).validToDate;
  expect(identity.credentials(new Date(end.getTime() - 1_000))).not.toBeNull();
  expect(identity.credentials(end)).toBeNull();
});

test.each([
  ['no token file', undefined],
  ['a token file that is not there', '/nonexistent/token'],
])('%s is said in a sentence', async (_what, tokenFile) => {
  await using directory = await temporaryDirectory();
  const { options } = await newHost(directory.path, new URL('https://127.0.0.1:1'), 'nothing');
  await expect(ensureJoined({ ...options, tokenFile })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
});

test('a damaged identity file is not replaced', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'identity.json');
  await writeFile(path, '{"hostId":');
  await expect(HostIdentity.open(path)).rejects.toThrow(/is damaged/);
  expect(await readFile(path, 'utf8')).toBe('{"hostId":');
});
