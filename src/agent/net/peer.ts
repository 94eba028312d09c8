import type { IncomingMessage } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { DATA_PROTOCOL, ImageRequest } from '../../api/agent-steps.ts';
import type { SourcePeer } from '../migrations/step-context.ts';
import type { RoundConnection } from '../volume/index.ts';
import type { Credentials } from './identity.ts';
import { type Call, callSource, refusal, type SourceAgent, unreachable, upgraded } from './source-call.ts';

/** Docker may work for a while before the first byte of an image comes. */
const IMAGE_SILENCE_LIMIT_MS = 600_000;

export type PeerOptions = {
  migrationId: string;
  peer: { hostId: string; address: string };
  credentials: () => Credentials;
  /** Throws when the host must not be talked to. */
  refuseRevoked: (hostId: string) => void;
};

/** The agent at the source, known by the host id in its certificate. Each call has a connection of its own. */
export function connectToSource(options: PeerOptions): SourcePeer {
  const sourceOf = (): SourceAgent => {
    options.refuseRevoked(options.peer.hostId);
    return { peer: options.peer, credentials: options.credentials() };
  };
  const open = (path: string, protocol: string, signal: AbortSignal): Promise<RoundConnection> =>
    upgraded(sourceOf(), { path, protocol }, signal);
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
      const { response } = await callSource(sourceOf(), call, signal);
      if (response.statusCode !== 200) throw await refusal(response);
      return asImage(response, options.peer.address);
    },
    openRound: async ({ mountIndex, round, final, ...limited }, signal): Promise<RoundConnection> => {
      const limits = Object.entries(limited).filter(([, limit]) => limit !== null);
      const query = [`final=${final ? 1 : 0}`, ...limits.map(([name, limit]) => `${name}=${limit}`)].join('&');
      return open(`${base}/mounts/${mountIndex}/rounds/${round}?${query}`, DATA_PROTOCOL, signal);
    },
    openVerification: async (mountIndex, signal) =>
      open(`${base}/mounts/${mountIndex}/verification`, DATA_PROTOCOL, signal),
  };
}

/** A connection that is lost on the way is told as what it is, so that the caller knows it may ask again. */
function asImage(response: IncomingMessage, address: string): Readable {
  const image = new PassThrough();
  response.once('error', (error) => image.destroy(unreachable(address, error)));
  image.once('close', () => response.destroy());
  return response.pipe(image);
}
