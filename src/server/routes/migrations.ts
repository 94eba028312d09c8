import { z } from 'zod';
import {
  ControlOptions,
  FailoverOptions,
  MigrateOptions,
  Migration,
  Phase,
  RecoverOptions,
} from '../../api/migration.ts';
import { Plan } from '../../api/plan.ts';
import { type App, clientGone, failed, type ServerParts } from './app.ts';

const Id = z.object({ id: z.string() });
const Filter = z.strictObject({ container: z.string().optional(), phase: Phase.optional() });
/** A call without a body asks for nothing special. */
const FailoverBody = FailoverOptions.nullish();

export function addMigrationRoutes(app: App, parts: ServerParts): void {
  addReading(app, parts);
  addBeginning(app, parts);
  addVerifying(app, parts);
  addEnding(app, parts);
}

function addReading(app: App, { migrations }: ServerParts): void {
  app.get('/v1/migrations', {
    config: { access: 'read' },
    schema: {
      summary: 'Migrations, the newest first',
      querystring: Filter,
      response: { 200: z.object({ migrations: z.array(Migration) }), ...failed },
    },
    handler: async ({ query: { container, phase } }) => ({
      migrations: await migrations.list({
        ...(container === undefined ? {} : { container }),
        ...(phase === undefined ? {} : { phase }),
      }),
    }),
  });

  app.get('/v1/migrations/:id', {
    config: { access: 'read' },
    schema: { summary: 'One migration', params: Id, response: { 200: Migration, ...failed } },
    handler: (request) => migrations.get(request.params.id),
  });

  app.get('/v1/containers/:container/migration', {
    config: { access: 'read' },
    schema: {
      summary: 'The newest migration of a container, by its name or id',
      params: z.object({ container: z.string() }),
      response: { 200: Migration, ...failed },
    },
    handler: (request) => migrations.latestOf(request.params.container),
  });
}

function addBeginning(app: App, { migrations, closing }: ServerParts): void {
  app.post('/v1/plans', {
    config: { access: 'admin' },
    schema: {
      summary: 'What a migration would do, and what keeps it from being done; changes nothing',
      body: MigrateOptions,
      response: { 200: Plan, ...failed },
    },
    handler: (request, reply) => migrations.plan(request.body, AbortSignal.any([clientGone(reply), closing])),
  });

  app.post('/v1/migrations', {
    config: { access: 'admin' },
    schema: {
      summary: 'Begin a migration; answers after the pre-flight',
      body: MigrateOptions,
      response: { 202: Migration, ...failed },
    },
    handler: async (request, reply) => reply.status(202).send(await migrations.begin(request.body, closing)),
  });
}

function addVerifying(app: App, { migrations }: ServerParts): void {
  app.post('/v1/migrations/:id/verify', {
    config: { access: 'admin' },
    schema: {
      summary:
        'Compare the data at the target with the checksums of what the source sent; `verification` tells how it goes',
      params: Id,
      response: { 202: Migration, ...failed },
    },
    handler: async (request, reply) => reply.status(202).send(await migrations.verify(request.params.id)),
  });
}

function addEnding(app: App, { migrations }: ServerParts): void {
  app.delete('/v1/migrations/:id', {
    config: { access: 'admin' },
    schema: {
      summary: 'Cancel a migration: the container runs on at the source',
      params: Id,
      response: { 200: Migration, ...failed },
    },
    handler: (request) => migrations.cancel(request.params.id),
  });

  app.patch('/v1/migrations/:id', {
    config: { access: 'admin' },
    schema: {
      summary: 'Change the bandwidth limit of a migration, or let its background copy rest',
      params: Id,
      body: ControlOptions,
      response: { 200: Migration, ...failed },
    },
    handler: (request) => migrations.control(request.params.id, request.body),
  });

  app.post('/v1/migrations/:id/failover', {
    config: { access: 'admin' },
    schema: {
      summary: 'Complete a migration: the source is released or, with cleanup, removed',
      params: Id,
      body: FailoverBody,
      response: { 200: Migration, ...failed },
    },
    handler: (request) => migrations.failover(request.params.id, request.body ?? { cleanup: false }),
  });

  app.post('/v1/migrations/:id/recover', {
    config: { access: 'admin' },
    schema: {
      summary: 'Give one side up for good: the other one goes on; without acceptLoss only lists what would be lost',
      params: Id,
      body: RecoverOptions,
      response: { 200: Migration, ...failed },
    },
    handler: (request) => migrations.recover(request.params.id, request.body),
  });
}
