import fastify, { type FastifyError } from 'fastify';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import type { AgentServer, AgentServerParts } from './agent-server-parts.ts';
import type { Credentials } from './identity.ts';
import { addPeerRoutes } from './peer-routes.ts';
import { addServerRoutes } from './server-routes.ts';

/** A definition holds the whole of `docker inspect`; nothing larger is ever sent here. */
const BODY_LIMIT = 16 * 1024 * 1024;

/** Longer than the server keeps its connections: it asks every host for each list, and a handshake costs more than that. */
const KEEP_ALIVE_MS = 75_000;

/** The agent's REST API over mutual TLS 1.3: built here, listened with elsewhere. */
export function buildAgentServer(parts: AgentServerParts): AgentServer {
  const { key, certificate, ca } = parts.credentials;
  const server: AgentServer = fastify({
    https: { key, cert: certificate, ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
    bodyLimit: BODY_LIMIT,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
  });
  server.setErrorHandler((thrown: FastifyError, _request, reply) => {
    const error = asCargoError(thrown);
    if (error.code === 'INTERNAL') parts.log.error({ err: thrown }, 'a request failed');
    return reply.status(error.handling.httpStatus).send(error.toBody());
  });
  server.setNotFoundHandler((request) => {
    throw new CargoError('NOT_FOUND', `cargo-agent has no ${request.method} ${request.url}`);
  });
  addServerRoutes(server, parts);
  addPeerRoutes(server, parts);
  return server;
}

/** New connections are made with the renewed certificate; those that are open go on. */
export function renewServer(server: AgentServer, { key, certificate, ca }: Credentials): void {
  server.server.setSecureContext({ key, cert: certificate, ca, minVersion: 'TLSv1.3' });
}

function asCargoError(thrown: FastifyError): CargoError {
  if (thrown instanceof z.ZodError) {
    return new CargoError('BAD_REQUEST', 'the request is not as it should be', { details: thrown.issues });
  }
  if (thrown.statusCode === 413) return new CargoError('BODY_TOO_LARGE', thrown.message);
  if (thrown.statusCode !== undefined && thrown.statusCode < 500) return new CargoError('BAD_REQUEST', thrown.message);
  return CargoError.from(thrown);
}
