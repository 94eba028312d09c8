import type { FastifyPluginAsync, FastifyPluginOptions, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { Heartbeat, HeartbeatAnswer } from '../../api/host.ts';
import { CreateTokenRequest, CreateTokenResponse, JoinRequest, JoinResponse, RenewRequest } from '../../api/join.ts';
import { callingHost, callingHostIfAny, callingValidity } from './access.ts';
import { type App, failed, type ServerParts } from './app.ts';
import { RepeatedBodies } from './repeated-bodies.ts';

/** A thousand containers take about a megabyte. */
const HEARTBEAT_BYTES = 16 * 1024 * 1024;

/** Tokens and the CA: what is needed before an agent can join. */
export function addTokenRoutes(app: App, { joinTokens, caPem }: ServerParts): void {
  app.post('/v1/tokens', {
    config: { access: 'admin' },
    schema: {
      summary: 'A new join token; it is shown this once',
      body: z.strictObject(CreateTokenRequest.shape).nullish(),
      response: { 201: CreateTokenResponse, ...failed },
    },
    handler: async (request, reply) => {
      const options = request.body ?? CreateTokenRequest.parse({});
      return reply.status(201).send(await joinTokens.create(options));
    },
  });

  app.get('/v1/ca', {
    config: { access: 'public' },
    schema: { summary: 'The certificate of the CA, PEM', response: { 200: z.object({ ca: z.string() }), ...failed } },
    handler: async () => ({ ca: caPem }),
  });
}

/** What agents call. Over TLS alone, since it is their certificates that say who they are. */
export function addAgentRoutes(app: App, parts: ServerParts): void {
  const { enrolment, failedJoins } = parts;
  app.post('/v1/join', {
    config: { access: 'public' },
    schema: { summary: 'An agent joins with a token', body: JoinRequest, response: { 200: JoinResponse, ...failed } },
    handler: async (request) => {
      failedJoins.refuseIfTooMany(request.ip);
      try {
        return await enrolment.join(request.body, callingHostIfAny(request));
      } catch (error) {
        if (error instanceof CargoError && error.code === 'JOIN_REFUSED') failedJoins.failed(request.ip);
        throw error;
      }
    },
  });

  app.register(heartbeatRoute(parts));

  app.post('/v1/renew', {
    config: { access: 'agent' },
    schema: {
      summary: 'A new certificate for an agent that has a valid one',
      body: RenewRequest,
      response: { 200: JoinResponse, ...failed },
    },
    handler: (request) => enrolment.renew(callingHost(request), request.body.csr),
  });
}

type Scope = FastifyPluginAsync<FastifyPluginOptions, RawServerDefault, ZodTypeProvider, Logger>;

function heartbeatRoute({ hosts, migrations, revocations, term }: ServerParts): Scope {
  return async (scope) => {
    const repeated = new RepeatedBodies();
    repeated.readIn(scope, HEARTBEAT_BYTES);
    scope.post('/v1/heartbeat', {
      config: { access: 'agent' },
      bodyLimit: HEARTBEAT_BYTES,
      schema: {
        summary: 'An agent says that it lives',
        body: Heartbeat,
        response: { 200: HeartbeatAnswer, ...failed },
      },
      handler: async (request) => {
        repeated.accept(request);
        const hostId = callingHost(request);
        const { held, migrations: known, revokedDigest } = request.body;
        await hosts.heartbeat(hostId, request.body, callingValidity(request));
        if (known !== undefined) migrations.reported(hostId, known);
        return { term, revoked: revocations.newsFor(revokedDigest), mayRun: await migrations.mayRun(hostId, held) };
      },
    });
  };
}
