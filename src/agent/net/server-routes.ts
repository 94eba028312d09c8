import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DescribeRequest, HydrationControl, PreflightRequest, StepCommand } from '../../api/agent-steps.ts';
import type { AgentServer, AgentServerParts } from './agent-server-parts.ts';
import { onlyServer, whileConnected } from './caller.ts';

const StepParams = z.object({ id: z.string(), key: z.string() });
const MigrationParams = z.object({ id: z.string() });
const WaitQuery = z.object({ waitMs: z.coerce.number().int().min(0).max(60_000).default(0) });

/** What the server alone may ask. */
export function addServerRoutes(
  server: AgentServer,
  { view, container, records, steps, trust }: AgentServerParts,
): void {
  server.register(async (routes) => {
    routes.addHook('onRequest', onlyServer(trust));
    routes.get('/v1/facts', (_request, reply) => view.facts(whileConnected(reply)));
    routes.get('/v1/containers', async (request, reply) => {
      const body = JSON.stringify({ containers: await container.containers(whileConnected(reply)) });
      const tag = `"${createHash('sha1').update(body).digest('base64url')}"`;
      reply.header('etag', tag);
      if (request.headers['if-none-match'] === tag) return reply.status(304).send();
      return reply.type('application/json; charset=utf-8').send(body);
    });
    routes.post('/v1/describe', (request, reply) =>
      container.describe(DescribeRequest.parse(request.body).container, whileConnected(reply)),
    );
    routes.post('/v1/preflight', (request, reply) =>
      container.preflight(PreflightRequest.parse(request.body), whileConnected(reply)),
    );

    routes.get('/v1/migrations', () => ({ migrations: records.whole() }));
    routes.put('/v1/migrations/:id/steps/:key', (request) => {
      const { id, key } = StepParams.parse(request.params);
      return steps.start(id, key, StepCommand.parse(request.body));
    });
    routes.get('/v1/migrations/:id/steps/:key', (request, reply) => {
      const { id, key } = StepParams.parse(request.params);
      return steps.wait(id, key, WaitQuery.parse(request.query).waitMs, whileConnected(reply));
    });
    routes.put('/v1/migrations/:id/hydration', async (request, reply) => {
      const { id } = MigrationParams.parse(request.params);
      const control = HydrationControl.parse(request.body);
      await steps.beside(id, (context) => container.controlHydration(context, control));
      return reply.status(204).send();
    });
    routes.delete('/v1/migrations/:id', async (request, reply) => {
      await steps.forget(MigrationParams.parse(request.params).id);
      return reply.status(204).send();
    });
  });
}
