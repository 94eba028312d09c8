import { generateKeyPairSync } from 'node:crypto';
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { CargoError } from '../../../src/api/cargo-error.ts';
import { issueAuthority, issueLeaf } from '../../../src/server/pki/issue.ts';

export type SeenRequest = { method: string; path: string; authorization: string | undefined; body: unknown };
/** The answer to one call: a value for 200, a CargoError for the error that the real server sends. */
export type Handler = (request: SeenRequest) => unknown;
export type Routes = Record<string, Handler>;
export type Identity = { ca: string; key: string; certificate: string };

/** An HTTP or HTTPS server on loopback that answers as cargo-server would, and remembers what it was asked. */
export type ScriptedServer = AsyncDisposable & { url: string; port: number; seen: SeenRequest[] };

export async function scriptedServer(routes: Routes, identity?: Identity, port = 0): Promise<ScriptedServer> {
  const seen: SeenRequest[] = [];
  const answer = (message: IncomingMessage, response: ServerResponse) => void respond(message, response, routes, seen);
  const server =
    identity === undefined
      ? createPlainServer(answer)
      : createTlsServer({ key: identity.key, cert: identity.certificate }, answer);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address() as AddressInfo;
  return {
    url: `${identity === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`,
    port: address.port,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function respond(
  message: IncomingMessage,
  response: ServerResponse,
  routes: Routes,
  seen: SeenRequest[],
): Promise<void> {
  const sent = await text(message);
  const { method = '', url: path = '', headers } = message;
  const request = {
    method,
    path,
    authorization: headers.authorization,
    body: sent === '' ? undefined : JSON.parse(sent),
  };
  seen.push(request);
  const handler = routes[`${method} ${path}`];
  const unknown = new CargoError('NOT_FOUND', `there is no ${method} ${path}`);
  const result = await Promise.resolve(handler === undefined ? unknown : handler(request));
  const failed = result instanceof CargoError;
  response.writeHead(failed ? result.handling.httpStatus : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(failed ? result.toBody() : result));
}

/** A CA of its own and a certificate of it, made as cargo-server makes them, without any host name. */
export async function makeIdentity(uri = 'cargo://server'): Promise<Identity> {
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = { commonName: 'Test CA', key: authority.privateKey };
  const notAfter = new Date(Date.now() + 3_600_000);
  const names = [{ type: 'url', value: uri }] as const;
  return {
    ca: await issueAuthority(issuer, notAfter),
    key: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: await issueLeaf({ commonName: 'test', publicKey: leaf.publicKey, names, notAfter }, issuer),
  };
}
