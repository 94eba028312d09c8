import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { expectParty } from '../net/party.ts';
import { LAZY_PROTOCOL, type RangeConnection } from './wire.ts';

const CONNECT_LIMIT_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;
const GREETING_MAX_BYTES = 256;
const NEWLINE = 0x0a;

/**
 * Where the source answers. `agent`: the source's agent, over its own port; `tls`: `cargo-lazy serve`. Both are mutual: both sides show a
 * certificate of Cargo's CA, and the source must be the host that is named. `unix` is for two processes of one machine.
 */
export const SourceAddress = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('unix'), path: z.string() }),
  z.object({
    kind: z.literal('tls'),
    host: z.string(),
    port: z.int(),
    hostId: z.string(),
    ca: z.string().describe('Path of a file, as are the next two.'),
    certificate: z.string(),
    key: z.string(),
  }),
  z.object({
    kind: z.literal('agent'),
    address: z.string().describe('host:port of the source’s agent.'),
    hostId: z.string(),
    migrationId: z.string(),
    mountIndex: z.int(),
    round: z
      .string()
      .describe(
        'Its name: of the last round that was received here. What the source sent after it, or believes to have, is not what is here.',
      ),
    identity: z.string().describe('Path of this host’s agent’s identity, read for each connection: it is renewed.'),
    trust: z.string().describe('Path of what that agent knows of hosts that were removed.'),
  }),
]);
export type SourceAddress = z.infer<typeof SourceAddress>;

/** The first line of a connection says what it is for. */
export const Greeting = z.discriminatedUnion('want', [
  z.object({ want: z.literal('ranges') }),
  z.object({ want: z.literal('round'), round: z.int(), final: z.boolean() }),
]);
export type Greeting = z.infer<typeof Greeting>;

/** Reads the greeting and leaves what follows it in the socket. @throws CargoError PROTOCOL_ERROR */
export async function takeGreeting(socket: Duplex): Promise<Greeting> {
  let text = Buffer.alloc(0);
  while (true) {
    const piece: Buffer | null = socket.read();
    if (piece === null) {
      await once(socket, 'readable', { signal: AbortSignal.timeout(CONNECT_LIMIT_MS) });
      if (socket.readableEnded || socket.destroyed) throw notUnderstood();
      continue;
    }
    text = Buffer.concat([text, piece]);
    const end = text.indexOf(NEWLINE);
    if (end < 0 && text.length < GREETING_MAX_BYTES) continue;
    if (end < 0) throw notUnderstood();
    if (end + 1 < text.length) socket.unshift(text.subarray(end + 1));
    return Greeting.parse(JSON.parse(text.subarray(0, end).toString('utf8')));
  }
}

function notUnderstood(): CargoError {
  return new CargoError('PROTOCOL_ERROR', 'The caller does not say what it wants.');
}

/** For ranges. @throws whatever the connection fails with, or the source answers */
export async function connectForRanges(address: SourceAddress): Promise<RangeConnection> {
  if (address.kind !== 'agent') return { socket: await connectTo(address), keys: null };
  const [{ readCredentials }, { Trust }, { upgraded }] = await whatAgentsTake();
  const { hostId, migrationId, mountIndex, round } = address;
  (await Trust.open(address.trust)).refuseRevoked(hostId);
  const source = { peer: { hostId, address: address.address }, credentials: await readCredentials(address.identity) };
  const path = `/v1/migrations/${migrationId}/mounts/${mountIndex}/ranges?round=${encodeURIComponent(round)}`;
  return upgraded(source, { path, protocol: LAZY_PROTOCOL }, AbortSignal.timeout(2 * CONNECT_LIMIT_MS));
}

/** The code that it takes to connect to an agent. Loaded only where it is needed: it takes memory. */
export function whatAgentsTake() {
  return Promise.all([import('../net/identity.ts'), import('../net/trust.ts'), import('../net/source-call.ts')]);
}

type DirectAddress = Exclude<SourceAddress, { kind: 'agent' }>;

/** @throws whatever the connection fails with */
export async function connectTo(address: DirectAddress, greeting: Greeting = { want: 'ranges' }): Promise<Duplex> {
  const socket = address.kind === 'unix' ? connectPlain({ path: address.path }) : openTls(address);
  const limit = AbortSignal.timeout(CONNECT_LIMIT_MS);
  try {
    await once(socket, address.kind === 'unix' ? 'connect' : 'secureConnect', { signal: limit });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  socket.write(`${JSON.stringify(greeting)}\n`);
  return socket;
}

function openTls(address: Extract<DirectAddress, { kind: 'tls' }>): TLSSocket {
  return connectTls({
    host: address.host,
    port: address.port,
    ca: readFileSync(address.ca),
    cert: readFileSync(address.certificate),
    key: readFileSync(address.key),
    minVersion: 'TLSv1.3',
    checkServerIdentity: expectParty({ kind: 'host', hostId: address.hostId }),
  });
}
