import type { App, ServerParts } from './app.ts';

/** One line of log and one observation a request. What only reads, and heartbeats, are logged at level debug. */
export function addRequestRecords(app: App, { metrics, log }: ServerParts): void {
  app.addHook('onResponse', async (request, reply) => {
    const { method } = request;
    const route = request.routeOptions.url ?? 'unknown';
    const status = reply.statusCode;
    metrics.observeRequest({ method, route, status, seconds: reply.elapsedTime / 1000 });
    const quiet = method === 'GET' || route === '/v1/heartbeat';
    log[quiet ? 'debug' : 'info']({ method, route, status, ms: Math.round(reply.elapsedTime) }, 'request answered');
  });
}
