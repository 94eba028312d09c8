import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { CargoError, ErrorBody } from '../src/api/cargo-error.ts';
import { serverDir } from './paths.ts';
import type { Lab } from './state.ts';

export const serverUrl = (lab: Lab) => `https://${lab.server.address}:5000`;
export const caFile = (lab: Lab) => join(serverDir(lab.name), 'data/ca.pem');
const tokenFile = (lab: Lab) => join(serverDir(lab.name), 'data/admin-token');

/** @throws CargoError NOT_FOUND in a bare lab. */
export function adminToken(lab: Lab): string {
  if (lab.bare) throw new CargoError('NOT_FOUND', `lab ${lab.name} was made with --bare: it has no cargo-server`);
  if (!existsSync(tokenFile(lab))) throw new CargoError('NOT_FOUND', `the server of lab ${lab.name} never started`);
  return readFileSync(tokenFile(lab), 'utf8').trim();
}

/** Calls the lab's server as its administrator. @throws CargoError with the server's own code, or SERVER_UNREACHABLE. */
export async function callServer(
  lab: Lab,
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<unknown> {
  const token = adminToken(lab);
  const agent = new Agent({ connect: { ca: readFileSync(caFile(lab)), timeout: 3000 } });
  try {
    const response = await request(serverUrl(lab) + path, {
      method,
      dispatcher: agent,
      headersTimeout: 10_000,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.body.json().catch(() => undefined);
    if (response.statusCode < 400) return answer;
    const failure = ErrorBody.safeParse(answer);
    if (failure.success) throw CargoError.fromBody(failure.data);
    throw new CargoError('INTERNAL', `${method} ${path}: HTTP ${response.statusCode}`);
  } catch (cause) {
    if (cause instanceof CargoError) throw cause;
    throw new CargoError('SERVER_UNREACHABLE', `no answer from ${serverUrl(lab)}`, { cause });
  } finally {
    await agent.destroy();
  }
}
