/** Prints the OpenAPI document that a server serves: `make openapi` keeps docs/openapi.json by it, a test compares them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { startServer } from '../src/server/start.ts';

const loopback = { host: '127.0.0.1', port: 0 };
const dataDir = await mkdtemp(join(tmpdir(), 'cargo-openapi-'));
try {
  const log = pino({ level: 'silent' });
  const server = await startServer({ listen: loopback, plainHttp: loopback, dataDir, names: [], log });
  const answer = await fetch(`http://127.0.0.1:${server.plainAddress?.port}/openapi.json`);
  console.log(JSON.stringify(await answer.json(), null, 2));
  await server.close();
} finally {
  await rm(dataDir, { recursive: true, force: true });
}
