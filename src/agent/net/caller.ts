import type { TLSSocket } from 'node:tls';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CargoError } from '../../api/cargo-error.ts';
import type { MigrationRecord } from '../migrations/record.ts';
import { type Party, partyOf } from './party.ts';

/** Who calls, by the certificate that the TLS handshake verified. @throws CargoError FORBIDDEN */
export function callerOf(socket: TLSSocket): Party {
  const party = socket.authorized ? partyOf(socket.getPeerX509Certificate()?.subjectAltName) : null;
  if (party !== null) return party;
  throw new CargoError('FORBIDDEN', 'the certificate of the caller names no part of Cargo');
}

/** @throws CargoError FORBIDDEN */
export async function onlyServer(request: FastifyRequest): Promise<void> {
  if (callerOf(request.raw.socket as TLSSocket).kind === 'server') return;
  throw new CargoError('FORBIDDEN', 'only the server may ask this of an agent');
}

/**
 * The record of a migration, for the host that it moves to while this host serves it. One answer for all others, so that
 * nobody learns which migrations there are.
 * @throws CargoError FORBIDDEN
 */
export function onlyTarget(record: MigrationRecord | null, caller: Party): MigrationRecord {
  const isTarget = caller.kind === 'host' && record?.peer?.hostId === caller.hostId;
  if (record !== null && isTarget && record.source?.serving === true && !record.source.released) return record;
  throw new CargoError('FORBIDDEN', 'this host serves no such migration to the caller');
}

/** Aborts when the caller closes the connection before it got its answer. */
export function whileConnected(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new CargoError('CANCELLED', 'the caller went away'));
  });
  return gone.signal;
}
