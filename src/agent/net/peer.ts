import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { PassThrough, type Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { DATA_PROTOCOL, ImageRequest } from '../../api/agent-steps.ts';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import type { SourcePeer } from '../migrations/step-context.ts';
import type { RoundConnection } from '../volume/index.ts';
import { parseAddress } from './advertised-address.ts';
import type { Credentials } from './identity.ts';
import { leaveTlsAsTarget } from './leave-tls.ts';
import { expectParty } from './party.ts';

const CONNECT_LIMIT_MS = 10_000;
/** Docker may work for a while before the first byte of an image comes. */
const IMAGE_SILENCE_LIMIT_MS = 600_000;
const ROUND_ANSWER_LIMIT_MS = 15_000;
/** A connection whose other end is gone is noticed this long after the last packet, plus about ten seconds. */
const KEEP_ALIVE_MS = 10_000;
const LONGEST_ERROR_BODY = 1_048_576;

export type PeerOptions = {
  migrationId: string;
  peer: { hostId: string; address: string };
  credentials: () => Credentials;
  /** Throws when the host must not be talked to. */
  refuseRevoked: (hostId: string) => void;
};

type Call = {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  body?: string;
  silenceLimitMs: number;
};
type Answer = { response: IncomingMessage; connection: RoundConnection | null };

/** The agent at the source, known by the host id in its certificate. Each call has a connection of its own. */
export function connectToSource(options: PeerOptions): SourcePeer {
  const base = `/v1/migrations/${options.migrationId}`;
  return {
    fetchImage: async (haveLayers, signal): Promise<Readable> => {
      const body = JSON.stringify(ImageRequest.parse({ haveLayers }));
      const headers = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
      const call: Call = {
        method: 'POST',
        path: `${base}/image`,
        headers,
        body,
        silenceLimitMs: IMAGE_SILENCE_LIMIT_MS,
      };
      const { response } = await exchange(options, call, signal);
      if (response.statusCode !== 200) throw await refusal(response);
      return asImage(response, options.peer.address);
    },
    openRound: async ({ mountIndex, round, final, bwlimit }, signal): Promise<RoundConnection> => {
      const query = `final=${final ? 1 : 0}${bwlimit === null ? '' : `&bwlimit=${bwlimit}`}`;
      return upgraded(options, `${base}/mounts/${mountIndex}/rounds/${round}?${query}`, signal);
    },
    openVerification: (mountIndex, signal) => upgraded(options, `${base}/mounts/${mountIndex}/verification`, signal),
  };
}

async function upgraded(options: PeerOptions, path: string, signal: AbortSignal): Promise<RoundConnection> {
  const headers = { connection: 'Upgrade', upgrade: DATA_PROTOCOL };
  const call: Call = { method: 'GET', path, headers, silenceLimitMs: ROUND_ANSWER_LIMIT_MS };
  const { response, connection } = await exchange(options, call, signal);
  if (connection === null) throw await refusal(response);
  return connection;
}

/** Resolves with the head of the answer. @throws CargoError PEER_UNREACHABLE, HOST_REMOVED; or the signal's reason */
async function exchange(options: PeerOptions, call: Call, signal: AbortSignal): Promise<Answer> {
  const { peer, credentials, refuseRevoked } = options;
  refuseRevoked(peer.hostId);
  const { key, certificate, ca } = credentials();
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

function unreachable(address: string, cause: Error): CargoError {
  return new CargoError('PEER_UNREACHABLE', `the source's agent at ${address} can't be reached: ${cause.message}`, {
    cause,
  });
}

/** A connection that is lost on the way is told as what it is, so that the caller knows it may ask again. */
function asImage(response: IncomingMessage, address: string): Readable {
  const image = new PassThrough();
  response.once('error', (error) => image.destroy(unreachable(address, error)));
  image.once('close', () => response.destroy());
  return response.pipe(image);
}

async function refusal(response: IncomingMessage): Promise<CargoError> {
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
