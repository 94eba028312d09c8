import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
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
import { accessOf, callingHost, checkToken } from './routes/access.ts';
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

/** Certificates are asked for and not required: only agents have one. What they call checks it. */
function serverFactory(transport: Transport): FastifyServerFactory {
  if (transport.kind === 'plain') return (handler) => createHttpServer(handler);
  const { ca, certificate, key } = transport.credentials;
  const options = {
    ca,
    cert: certificate,
    key,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
  } as const;
  return (handler) => createHttpsServer(options, handler);
}

function addAccessRules(app: App, { apiTokens }: ServerParts, transport: Transport): void {
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.access === undefined) throw new Error(`route ${url} doesn't say who may call it`);
  });
  app.addHook('onRequest', async (request) => {
    if (transport.kind === 'plain') return refuseForeignPages(request.headers);
    const access = accessOf(request);
    if (access === 'agent') callingHost(request);
    else if (access === 'read' || access === 'admin') checkToken(apiTokens, access, request.headers.authorization);
  });
}
