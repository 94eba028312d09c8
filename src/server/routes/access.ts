import type { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { CargoError } from '../../api/cargo-error.ts';
import type { ApiTokens } from '../auth/api-tokens.ts';
import type { FailedAttempts } from '../auth/failed-attempts.ts';
import type { Validity } from '../hosts/known-host.ts';
import { hostRemoved } from '../hosts/removal.ts';
import type { Revocations } from '../hosts/revocations.ts';
import { peerHostId, peerIdentity } from '../pki/identity.ts';

/**
 * Who may call a route: anybody; who has a token (`read`: either one; `admin`: the admin token); an agent by its
 * certificate. Every route says it in its config.
 */
export type Access = 'public' | 'read' | 'admin' | 'agent';

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
}

export function accessOf(request: FastifyRequest): Access | null {
  return request.routeOptions.config.access ?? null;
}

/** @throws CargoError TOO_MANY_ATTEMPTS, UNAUTHENTICATED, FORBIDDEN */
export function checkToken(
  tokens: ApiTokens,
  failures: FailedAttempts,
  access: 'read' | 'admin',
  { headers: { authorization }, ip }: Pick<FastifyRequest, 'headers' | 'ip'>,
): void {
  const sent = authorization !== undefined;
  if (sent) failures.refuseIfTooMany(ip);
  try {
    refuseUnknown(tokens, access, authorization);
  } catch (error) {
    if (sent && error instanceof CargoError && error.code === 'UNAUTHENTICATED') failures.failed(ip);
    throw error;
  }
}

function refuseUnknown(tokens: ApiTokens, access: 'read' | 'admin', authorization: string | undefined): void {
  const token = /^Bearer ([^\s]+)$/i.exec(authorization ?? '')?.[1];
  const role = token === undefined ? null : tokens.roleOf(token);
  if (role === null) {
    const what = token === undefined ? 'no token was sent' : 'this token is not valid here';
    throw new CargoError(
      'UNAUTHENTICATED',
      `${what}: send "Authorization: Bearer <token>", see admin-token on the server`,
    );
  }
  if (access === 'admin' && role !== 'admin') {
    throw new CargoError('FORBIDDEN', 'this token may only read: use the admin token');
  }
}

/** The agent that calls, by its client certificate. @throws CargoError UNAUTHENTICATED */
export function callingHost(request: FastifyRequest): string {
  const hostId = callingHostIfAny(request);
  if (hostId !== null) return hostId;
  throw new CargoError(
    'UNAUTHENTICATED',
    'this call is for agents: it takes a certificate that this server issued and that has not run out',
  );
}

/** @throws CargoError UNAUTHENTICATED, HOST_REMOVED */
export function refuseRemoved(request: FastifyRequest, revocations: Revocations): void {
  if (revocations.has(callingHost(request))) throw hostRemoved();
}

/** When the certificate of the agent that calls begins and ends. */
export function callingValidity(request: FastifyRequest): Validity {
  return peerIdentity(request.raw.socket as TLSSocket).validity;
}

export function callingHostIfAny(request: FastifyRequest): string | null {
  return peerHostId(request.raw.socket as TLSSocket);
}
