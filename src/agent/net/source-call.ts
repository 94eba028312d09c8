import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { TLSSocket } from 'node:tls';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import type { RoundConnection } from '../volume/index.ts';
import { parseAddress } from './advertised-address.ts';
import type { Credentials } from './identity.ts';
import { leaveTlsAsTarget } from './leave-tls.ts';
import { expectParty } from './party.ts';

const CONNECT_LIMIT_MS = 10_000;
const UPGRADE_ANSWER_LIMIT_MS = 15_000;
/** A connection whose other end is gone is noticed this long after the last packet, plus about ten seconds. */
const KEEP_ALIVE_MS = 10_000;
const LONGEST_ERROR_BODY = 1_048_576;

/** The agent at the source, and as whom it is called. */
export type SourceAgent = { peer: { hostId: string; address: string }; credentials: Credentials };

export type Call = {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  body?: string;
  silenceLimitMs: number;
};
export type Answer = { response: IncomingMessage; connection: RoundConnection | null };

/** A connection on which both ends have left TLS, for what is spoken by `protocol`. @throws as `callSource`, and what the source answered */
export async function upgraded(
  source: SourceAgent,
  { path, protocol }: { path: string; protocol: string },
  signal: AbortSignal,
): Promise<RoundConnection> {
  const headers = { connection: 'Upgrade', upgrade: protocol };
  const call: Call = { method: 'GET', path, headers, silenceLimitMs: UPGRADE_ANSWER_LIMIT_MS };
  const { response, connection } = await callSource(source, call, signal);
  if (connection === null) throw await refusal(response);
  return connection;
}

/** Resolves with the head of the answer. @throws CargoError PEER_UNREACHABLE; or the signal's reason */
export async function callSource(source: SourceAgent, call: Call, signal: AbortSignal): Promise<Answer> {
  const { peer, credentials } = source;
  const { key, certificate, ca } = credentials;
  const { method, path, headers } = call;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = httpsRequest({
    ...parseAddress(peer.address),
    ...{ method, path, headers, key, cert: certificate, ca },
    agent: false,
    timeout: CONNECT_LIMIT_MS,
    minVersion: 'TLSv1.3',
    checkServerIdentity: expectParty({ kind: 'host', hostId: peer.hostId }),
  });
  request.once('timeout', () => request.destroy(new Error('it does not answer')));
  const abort = (): void => {
    request.destroy(new Error('aborted'));
  };
  signal.addEventListener('abort', abort, { once: true });
  request.once('close', () => signal.removeEventListener('abort', abort));
  request.on('error', (error) => reject(signal.aborted ? signal.reason : unreachable(peer.address, error)));
  request.once('socket', (socket) => {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.once('secureConnect', () => socket.setTimeout(call.silenceLimitMs));
  });
  request.once('response', (response) => resolve({ response, connection: null }));
  request.once('upgrade', (response, socket, head) => {
    socket.setTimeout(0);
    socket.on('error', () => {});
    try {
      if (!(socket instanceof TLSSocket) || head.length > 0) throw new Error('it spoke out of turn');
      resolve({ response, connection: leaveTlsAsTarget(socket) });
    } catch (error) {
      socket.destroy();
      reject(unreachable(peer.address, CargoError.from(error)));
    }
  });
  if (signal.aborted) abort();
  request.end(call.body);
  return promise;
}

export function unreachable(address: string, cause: Error): CargoError {
  return new CargoError('PEER_UNREACHABLE', `the source's agent at ${address} can't be reached: ${cause.message}`, {
    cause,
  });
}

/** What the source answered instead. */
export async function refusal(response: IncomingMessage): Promise<CargoError> {
  let text = '';
  response.setEncoding('utf8');
  for await (const part of response) {
    text += part;
    if (text.length > LONGEST_ERROR_BODY) break;
  }
  try {
    return CargoError.fromBody(ErrorBody.parse(JSON.parse(text)));
  } catch {
    return new CargoError('PROTOCOL_ERROR', `the source's agent answered with status ${response.statusCode}`);
  }
}
