import { z } from 'zod';
import { Host, HostContainers } from '../../api/host.ts';
import { type App, failed, LIST_LIMIT_MS, type ServerParts } from './app.ts';

export function addHostRoutes(app: App, { hosts }: ServerParts): void {
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

  app.get('/v1/containers', {
    config: { access: 'read' },
    schema: {
      summary: 'Containers of every host; stale where the host did not answer in time',
      response: { 200: z.object({ hosts: z.array(HostContainers) }), ...failed },
    },
    handler: async () => ({ hosts: await hosts.containers(LIST_LIMIT_MS) }),
  });
}
