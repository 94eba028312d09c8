import { z } from 'zod';
import { Host, HostContainers, RemovedHost } from '../../api/host.ts';
import { removeHost } from '../hosts/removal.ts';
import { type App, failed, LIST_LIMIT_MS, type ServerParts } from './app.ts';
import { hostListBytes, writeWith } from './container-lists.ts';

const Removal = z.strictObject({ force: z.stringbool().default(false) });

export function addHostRoutes(app: App, parts: ServerParts): void {
  const { hosts } = parts;
  app.get('/v1/hosts', {
    config: { access: 'read' },
    schema: { summary: 'All registered hosts', response: { 200: z.object({ hosts: z.array(Host) }), ...failed } },
    handler: async () => ({ hosts: await hosts.list() }),
  });

  app.get('/v1/hosts/:host', {
    config: { access: 'read' },
    schema: {
      summary: 'One host, by name, id or address',
      params: z.object({ host: z.string() }),
      response: { 200: Host, ...failed },
    },
    handler: (request) => hosts.resolve(request.params.host),
  });

  app.delete('/v1/hosts/:host', {
    config: { access: 'admin' },
    schema: {
      summary: 'Remove a host, by name, id or address: its certificate is void from then on',
      params: z.object({ host: z.string() }),
      querystring: Removal,
      response: { 200: RemovedHost, ...failed },
    },
    handler: ({ params, query }) => {
      const { hosts: registry, hostNames: names, joinTokens: tokens, revocations, migrations, log } = parts;
      return removeHost({ registry, names, tokens, revocations, migrations, log }, params.host, query);
    },
  });

  app.get('/v1/containers', {
    config: { access: 'read' },
    schema: {
      summary: 'Containers of every host; stale where the host did not answer in time',
      response: { 200: z.object({ hosts: z.array(HostContainers) }), ...failed },
    },
    handler: async (_request, reply) => {
      const all = await hosts.containers(LIST_LIMIT_MS);
      writeWith(reply, hostListBytes);
      return { hosts: all };
    },
  });
}
