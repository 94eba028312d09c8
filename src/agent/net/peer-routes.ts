import type { IncomingMessage } from 'node:http';
import { addAbortSignal, type Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { DATA_PROTOCOL, ImageRequest } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import { LAZY_PROTOCOL } from '../lazy/wire.ts';
import type { AgentServer, AgentServerParts } from './agent-server-parts.ts';
import { callerOf, onlyTarget, whileConnected } from './caller.ts';
import { leaveTlsAsSource } from './leave-tls.ts';
import type { RangesRequest } from './served-ranges.ts';
import type { DataRequest } from './served-rounds.ts';

const KEEP_ALIVE_MS = 10_000;
const ImageParams = z.object({ id: z.string() });
const DATA_PATH =
  /^\/v1\/migrations\/([A-Za-z0-9_-]{1,64})\/mounts\/(\d{1,6})\/(?:rounds\/(\d{1,6})|(verification|ranges))$/;
const RoundQuery = z.object({
  final: z.enum(['0', '1']),
  bwlimit: z.coerce.number().positive().nullable(),
  contentLimit: z.coerce.number().int().positive().nullable(),
  wholeMs: z.coerce.number().min(0),
  freshBytes: z.coerce.number().int().min(0),
});

/** What the target's agent of a migration alone may ask: the image, and rounds and verifications over an upgraded connection. */
export function addPeerRoutes(server: AgentServer, parts: AgentServerParts): void {
  const { container, records, rounds, trust } = parts;
  server.post('/v1/migrations/:id/image', async (request, reply) => {
    const { id } = ImageParams.parse(request.params);
    const { definition } = onlyTarget(records.find(id), callerOf(request.raw.socket as TLSSocket, trust));
    if (definition === null) throw new CargoError('WRONG_PHASE', `migration ${id} has no image to serve yet`);
    const { haveLayers } = ImageRequest.parse(request.body);
    const signal = AbortSignal.any([whileConnected(reply), rounds.image(id, reply.raw)]);
    const image = await container.exportImage(definition, haveLayers, signal);
    return reply.type('application/x-tar').send(addAbortSignal(signal, image));
  });
  server.server.on('upgrade', (request, socket, head) => {
    void serveUpgrade(parts, request, socket, head);
  });
}

/** Fastify doesn't see upgrades: Node hands the connection over as it is. */
async function serveUpgrade(
  { records, rounds, trust, log }: AgentServerParts,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  // Whoever uses the socket sees the failure too; this keeps one that comes before that from ending the process.
  socket.on('error', () => {});
  try {
    if (!(socket instanceof TLSSocket)) throw new CargoError('INTERNAL', 'not a TLS connection');
    const wanted = parseRequest(request);
    const caller = callerOf(socket, trust);
    const refuseOthers = (): void => {
      if (caller.kind === 'host') trust.refuseRevoked(caller.hostId);
      onlyTarget(records.find(wanted.migrationId), caller);
    };
    const until = socket.getPeerX509Certificate()?.validToDate.getTime() ?? 0;
    const refuseLate = (): void => {
      refuseOthers();
      if (until <= Date.now()) throw new CargoError('FORBIDDEN', 'the certificate of the caller ran out');
    };
    refuseOthers();
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    if (head.length > 0) throw new CargoError('BAD_REQUEST', 'the round has not begun yet');
    const connection = await leaveTlsAsSource(socket, switching(protocolOf(wanted)));
    // A round that is under way goes on, but ranges may be wanted for days.
    if (wanted.kind === 'ranges') await rounds.serveRanges(wanted, connection, refuseLate);
    else await rounds.serve(wanted, connection, refuseOthers);
  } catch (thrown) {
    const error = CargoError.from(thrown);
    log.warn({ code: error.code, reason: error.message }, 'data was refused');
    refuse(socket, error);
  }
}

function switching(protocol: string): string {
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;
}

function protocolOf({ kind }: DataRequest | RangesRequest): string {
  return kind === 'ranges' ? LAZY_PROTOCOL : DATA_PROTOCOL;
}

/** @throws CargoError BAD_REQUEST */
function parseRequest(request: IncomingMessage): DataRequest | RangesRequest {
  const url = new URL(request.url ?? '', 'https://agent');
  const [, migrationId, mountIndex, round, other] = DATA_PATH.exec(url.pathname) ?? [];
  const protocol = other === 'ranges' ? LAZY_PROTOCOL : DATA_PROTOCOL;
  const isKnown = request.headers.upgrade === protocol && migrationId !== undefined;
  if (isKnown && round === undefined) {
    const of = { migrationId, mountIndex: Number(mountIndex) };
    if (other !== 'ranges') return { kind: 'verification', ...of };
    const name = url.searchParams.get('round');
    if (name === null) throw new CargoError('BAD_REQUEST', 'ranges are had of a round: which one is not said');
    return { kind: 'ranges', ...of, round: name };
  }
  const query = RoundQuery.safeParse({
    final: url.searchParams.get('final'),
    bwlimit: url.searchParams.get('bwlimit'),
    contentLimit: url.searchParams.get('contentLimit'),
    wholeMs: url.searchParams.get('wholeMs'),
    freshBytes: url.searchParams.get('freshBytes'),
  });
  if (!isKnown || !query.success) {
    throw new CargoError(
      'BAD_REQUEST',
      `no data can be had this way: ${DATA_PROTOCOL} and ${LAZY_PROTOCOL} are spoken`,
    );
  }
  const { final, ...limits } = query.data;
  return {
    kind: 'round',
    migrationId,
    mountIndex: Number(mountIndex),
    round: Number(round),
    final: final === '1',
    ...limits,
  };
}

function refuse(socket: Duplex, error: CargoError): void {
  const body = JSON.stringify(error.toBody());
  const head = [
    `HTTP/1.1 ${error.handling.httpStatus} Refused`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
