import type { ServerResponse } from 'node:http';
import type { Migration } from '../../api/migration.ts';
import { type App, clientGone, type ServerParts } from './app.ts';

const HEARTBEAT_MS = 15_000;
/** A reader that is so far behind is dropped; it connects again and reads the present state. */
const BACKLOG_BYTES = 4 * 1024 * 1024;

/** Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export function addEventRoutes(app: App, { migrations, closing }: ServerParts): void {
  app.get('/v1/events', {
    config: { access: 'read' },
    schema: {
      summary: 'Every change of a migration as a server-sent event `migration`, its data the migration',
      produces: ['text/event-stream'],
    },
    handler: (_request, reply) => {
      const over = AbortSignal.any([clientGone(reply), closing]);
      reply.hijack();
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      stream(reply.raw, over, (listener) => migrations.subscribe(listener, over));
    },
  });
}

function stream(
  response: ServerResponse,
  over: AbortSignal,
  subscribe: (listener: (migration: Migration) => void) => void,
): void {
  const write = (text: string): void => {
    if (response.writableLength > BACKLOG_BYTES) response.destroy();
    else response.write(text);
  };
  write(': connected\n\n');
  subscribe((migration) => write(`event: migration\ndata: ${JSON.stringify(migration)}\n\n`));
  const heartbeat = setInterval(() => write(': still here\n\n'), HEARTBEAT_MS);
  over.addEventListener(
    'abort',
    () => {
      clearInterval(heartbeat);
      response.end();
    },
    { once: true },
  );
}
