import { z } from 'zod';
import { type App, failed, type ServerParts } from './app.ts';

export function addHealthRoutes(app: App, { store, metrics }: ServerParts): void {
  app.get('/healthz', {
    config: { access: 'public' },
    schema: {
      summary: 'Whether the server and its Store work',
      response: { 200: z.object({ status: z.literal('ok') }), ...failed },
    },
    handler: async () => {
      await store.get('server/health');
      return { status: 'ok' as const };
    },
  });

  app.get('/metrics', {
    config: { access: 'read' },
    schema: { summary: 'Metrics for Prometheus', produces: ['text/plain'] },
    handler: async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  });

  app.get('/openapi.json', {
    config: { access: 'public' },
    schema: { summary: 'This document' },
    handler: async () => app.swagger(),
  });
}
