import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer, Server as HttpsServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import swagger from '@fastify/swagger';
import { type FastifyServerFactory, fastify, LogController } from 'fastify';
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import { version } from '../version.ts';
import type { Credentials } from './pki/server-certificate.ts';
import { accessOf, checkToken, refuseRemoved } from './routes/access.ts';
import { addAgentRoutes, addTokenRoutes } from './routes/agents.ts';
import type { App, ServerParts } from './routes/app.ts';
import { addBodyRules } from './routes/bodies.ts';
import { answerError, answerNotFound } from './routes/errors.ts';
import { addEventRoutes } from './routes/events.ts';
import { addHealthRoutes } from './routes/health.ts';
import { addHostRoutes } from './routes/hosts.ts';
import { addMigrationRoutes } from './routes/migrations.ts';
import { addOriginalRoutes } from './routes/original.ts';
import { refuseForeignPages } from './routes/plain-http-guard.ts';
import { addRequestRecords } from './routes/request-records.ts';

const KEEP_ALIVE_MS = 60_000;

/** TLS for everybody; plain HTTP for programs on this machine, without tokens and without what agents call. */
export type Transport = { kind: 'tls'; credentials: Credentials } | { kind: 'plain' };

/** The REST API, ready to listen. */
export async function buildServer(parts: ServerParts, transport: Transport): Promise<App> {
  const app: App = fastify({
    serverFactory: serverFactory(transport),
    loggerInstance: parts.log,
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    frameworkErrors: answerError,
    routerOptions: { maxParamLength: 300 },
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(answerNotFound);
  addRequestRecords(app, parts);
  addBodyRules(app);
  addAccessRules(app, parts, transport);
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'Cargo', version, description: 'Moves running Docker containers.' } },
    transform: jsonSchemaTransform,
  });
  addOriginalRoutes(app, parts);
  addHostRoutes(app, parts);
  addMigrationRoutes(app, parts);
  addTokenRoutes(app, parts);
  addHealthRoutes(app, parts);
  addEventRoutes(app, parts);
  if (transport.kind === 'tls') addAgentRoutes(app, parts);
  await app.ready();
  return app;
}

/**
 * Certificates are asked for and not required: only agents have one. What they call checks it. Node.js closes a connection
 * after 5 s without a request, and the heartbeat of a busy host would meet that moment again and again.
 */
function serverFactory(transport: Transport): FastifyServerFactory {
  if (transport.kind === 'plain') return (handler) => createHttpServer(handler);
  const options = {
    ...secureContext(transport.credentials),
    ...{ requestCert: true, rejectUnauthorized: false, keepAliveTimeout: KEEP_ALIVE_MS },
  };
  return (handler) => createHttpsServer(options, handler);
}

/** New connections are made with the renewed certificate; those that are open go on. */
export function renewServer(app: App, credentials: Credentials): void {
  if (app.server instanceof HttpsServer) app.server.setSecureContext(secureContext(credentials));
}

function secureContext({ ca, certificate, key }: Credentials): SecureContextOptions {
  return { ca, cert: certificate, key, minVersion: 'TLSv1.3' };
}

function addAccessRules(app: App, { apiTokens, failedTokens, revocations }: ServerParts, transport: Transport): void {
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.access === undefined) throw new Error(`route ${url} doesn't say who may call it`);
  });
  app.addHook('onRequest', async (request) => {
    if (transport.kind === 'plain') return refuseForeignPages(request.headers);
    const access = accessOf(request);
    if (access === 'agent') refuseRemoved(request, revocations);
    else if (access === 'read' || access === 'admin') checkToken(apiTokens, failedTokens, access, request);
  });
}
