import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { ContainerSummary } from '../../api/host.ts';
import { Migration, OriginalMigrateRequest } from '../../api/migration.ts';
import { Replication, replicationOf } from '../../api/replication.ts';
import { type App, clientGone, failed, LIST_LIMIT_MS, type ServerParts } from './app.ts';
import { originalListBytes, writeWith } from './container-lists.ts';

const FailoverParams = z.object({ host: z.string(), container: z.string() });

/** The four calls of the 2015 user guide, with the paths and shapes that they had. */
export function addOriginalRoutes(app: App, parts: ServerParts): void {
  const { hosts, migrations, closing } = parts;

  app.get('/cargo', {
    config: { access: 'read' },
    schema: {
      summary: 'Containers of every host',
      response: { 200: z.record(z.string(), z.array(ContainerSummary)), ...failed },
    },
    handler: async (_request, reply) => {
      const all = await hosts.containers(LIST_LIMIT_MS);
      writeWith(reply, originalListBytes);
      return Object.fromEntries(all.map(({ host, containers }) => [`/agent/${host.id}`, containers]));
    },
  });

  app.post('/cargo', {
    config: { access: 'admin' },
    schema: {
      summary: 'Migrate a container; answers once it runs at the target',
      body: OriginalMigrateRequest,
      response: { 200: Migration, ...failed },
    },
    handler: async (request, reply) => {
      const gone = clientGone(reply);
      const { id } = await migrations.begin({ ...request.body, bwlimit: null, keepStaged: false }, closing);
      return migrations.untilRunning(id, AbortSignal.any([gone, closing]));
    },
  });

  app.get('/cargo/replication/:container', {
    config: { access: 'read' },
    schema: {
      summary: 'Progress of the newest migration of a container',
      params: z.object({ container: z.string() }),
      response: { 200: Replication, ...failed },
    },
    handler: async (request) => replicationOf(await migrations.latestOf(request.params.container)),
  });

  app.route({
    method: ['GET', 'POST'],
    url: '/cargo/failover/:host/:container',
    config: { access: 'admin' },
    schema: {
      summary: 'Complete the migration of a container to this host',
      params: FailoverParams,
      response: { 200: Migration, ...failed },
    },
    handler: async (request) => {
      const target = await hosts.resolve(request.params.host);
      const migration = await migrations.latestOf(request.params.container);
      if (migration.targetId !== target.id) throw otherTarget(migration, target.name);
      return migrations.failover(migration.id, { cleanup: false });
    },
  });
}

function otherTarget(migration: Migration, named: string): CargoError {
  return new CargoError(
    'MIGRATION_NOT_FOUND',
    `the newest migration of ${migration.container} went from ${migration.source} to ${migration.target}, not to ${named}: name ${migration.target}`,
  );
}
