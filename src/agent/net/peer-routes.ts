import type { IncomingMessage } from 'node:http';
import { addAbortSignal, type Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { DATA_PROTOCOL, ImageRequest } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { AgentServer, AgentServerParts } from './agent-server-parts.ts';
import { callerOf, onlyTarget, whileConnected } from './caller.ts';
import { leaveTlsAsSource } from './leave-tls.ts';
import type { DataRequest } from './served-rounds.ts';

const KEEP_ALIVE_MS = 10_000;
const SWITCHING = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${DATA_PROTOCOL}\r\n\r\n`;
const ImageParams = z.object({ id: z.string() });
const DATA_PATH = /^\/v1\/migrations\/([A-Za-z0-9_-]{1,64})\/mounts\/(\d{1,6})\/(?:rounds\/(\d{1,6})|verification)$/;
const RoundQuery = z.object({
  final: z.enum(['0', '1']),
  bwlimit: z.coerce.number().positive().nullable(),
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
    refuseOthers();
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    if (head.length > 0) throw new CargoError('BAD_REQUEST', 'the round has not begun yet');
    await rounds.serve(wanted, await leaveTlsAsSource(socket, SWITCHING), refuseOthers);
  } catch (thrown) {
    const error = CargoError.from(thrown);
    log.warn({ code: error.code, reason: error.message }, 'data was refused');
    refuse(socket, error);
  }
}

/** @throws CargoError BAD_REQUEST */
function parseRequest(request: IncomingMessage): DataRequest {
  const url = new URL(request.url ?? '', 'https://agent');
  const [, migrationId, mountIndex, round] = DATA_PATH.exec(url.pathname) ?? [];
  const isData = request.headers.upgrade === DATA_PROTOCOL && migrationId !== undefined;
  if (isData && round === undefined) return { kind: 'verification', migrationId, mountIndex: Number(mountIndex) };
  const query = RoundQuery.safeParse({
    final: url.searchParams.get('final'),
    bwlimit: url.searchParams.get('bwlimit'),
  });
  if (!isData || !query.success) {
    throw new CargoError('BAD_REQUEST', `no round can be had this way: ${DATA_PROTOCOL} is all that is spoken here`);
  }
  const { final, bwlimit } = query.data;
  return {
    kind: 'round',
    migrationId,
    mountIndex: Number(mountIndex),
    round: Number(round),
    final: final === '1',
    bwlimit,
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
