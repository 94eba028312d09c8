import type { TLSSocket } from 'node:tls';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { TERM_HEADER } from '../../api/host.ts';
import type { MigrationRecord } from '../migrations/record.ts';
import { type Party, partyOf } from './party.ts';
import type { Trust } from './trust.ts';

const Term = z.coerce.number().int().min(0).default(0);

/**
 * Who calls, by the certificate that the TLS handshake verified. What ended since then, on a connection that stayed open,
 * and what belongs to a host that was removed, counts for nothing.
 * @throws CargoError FORBIDDEN, HOST_REMOVED
 */
export function callerOf(socket: TLSSocket, trust: Trust): Party {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  const party = partyOf(certificate?.subjectAltName);
  if (certificate === undefined || party === null) {
    throw new CargoError('FORBIDDEN', 'the certificate of the caller names no part of Cargo');
  }
  if (certificate.validToDate.getTime() <= Date.now()) {
    throw new CargoError('FORBIDDEN', 'the certificate of the caller ran out');
  }
  if (party.kind === 'host') trust.refuseRevoked(party.hostId);
  return party;
}

/** The hook for what the server alone may call. @throws CargoError FORBIDDEN, HOST_REMOVED, STALE_SERVER */
export function onlyServer(trust: Trust): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    if (callerOf(request.raw.socket as TLSSocket, trust).kind !== 'server') {
      throw new CargoError('FORBIDDEN', 'only the server may ask this of an agent');
    }
    await trust.obey(Term.parse(request.headers[TERM_HEADER]));
  };
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
