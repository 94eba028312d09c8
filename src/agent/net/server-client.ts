import type { IncomingMessage } from 'node:http';
import { Agent, type AgentOptions, request } from 'node:https';
import { addAbortSignal } from 'node:stream';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import type { Credentials } from './identity.ts';
import { expectParty } from './party.ts';

const CALL_LIMIT_MS = 10_000;
const CONNECT_LIMIT_MS = 5_000;

/** How much is known of the server: nothing yet, its CA, or its CA and who we are. */
export type Trust = { kind: 'unverified' } | { kind: 'ca'; ca: string } | { kind: 'mutual'; credentials: Credentials };

type Call = { method: 'GET' | 'POST'; path: string; body?: string };

/**
 * The server's REST API over one kept-alive connection. Dispose of it to close the connection. Node's own HTTP client, which
 * the agent has loaded anyway for its peers.
 */
export class ServerClient implements AsyncDisposable {
  readonly #url: URL;
  readonly #connections: Agent;
  readonly #calls = new Set<Promise<unknown>>();

  constructor(url: URL, trust: Trust) {
    this.#url = url;
    this.#connections = new Agent({
      ...tlsOptions(trust),
      keepAlive: true,
      maxSockets: 1,
      // A resumed TLS session would skip the check of the server's name.
      maxCachedSessions: 0,
    });
  }

  /** @throws CargoError SERVER_UNREACHABLE, or what the server answered */
  get<T>(path: string, answer: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return this.#call({ method: 'GET', path }, answer, signal);
  }

  /** @throws CargoError SERVER_UNREACHABLE, or what the server answered */
  post<T>(path: string, body: unknown, answer: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return this.#call({ method: 'POST', path, body: JSON.stringify(body) }, answer, signal);
  }

  /** Calls that are under way end first. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#calls);
    this.#connections.destroy();
  }

  async #call<T>(call: Call, answer: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const exchange = this.#exchange(call, AbortSignal.any([signal, AbortSignal.timeout(CALL_LIMIT_MS)]));
    this.#calls.add(exchange);
    const { status, said } = await exchange.finally(() => this.#calls.delete(exchange));
    const body = parseJson(said);
    if (status >= 400) throw refusal(status, body);
    const parsed = answer.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new CargoError('INTERNAL', `${this.#url.origin}${call.path} answered what is no answer of a cargo-server`);
  }

  async #exchange(call: Call, signal: AbortSignal): Promise<{ status: number; said: string }> {
    try {
      const response = await this.#send(call, signal);
      return { status: response.statusCode ?? 0, said: await text(response) };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CargoError('SERVER_UNREACHABLE', `the server at ${this.#url.origin} can't be reached: ${reason}`, {
        cause: error,
      });
    }
  }

  #send({ method, path, body }: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const headers = { 'content-type': 'application/json', ...length };
    const sent = request(new URL(path, this.#url), { method, headers, agent: this.#connections, signal });
    sent.once('response', (response) => resolve(addAbortSignal(signal, response)));
    sent.once('socket', (socket) => {
      if (!socket.connecting) return;
      socket.setTimeout(CONNECT_LIMIT_MS, () => sent.destroy(new Error('it does not answer')));
      socket.once('secureConnect', () => socket.setTimeout(0));
    });
    sent.on('error', reject);
    sent.end(body);
    return promise;
  }
}

function tlsOptions(trust: Trust): AgentOptions {
  const minVersion = 'TLSv1.3';
  if (trust.kind === 'unverified') return { minVersion, rejectUnauthorized: false };
  const checkServerIdentity = expectParty({ kind: 'server' });
  if (trust.kind === 'ca') return { minVersion, ca: trust.ca, checkServerIdentity };
  const { ca, key, certificate } = trust.credentials;
  return { minVersion, ca, key, cert: certificate, checkServerIdentity };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function refusal(status: number, body: unknown): CargoError {
  const parsed = ErrorBody.safeParse(body);
  if (parsed.success) return CargoError.fromBody(parsed.data);
  return new CargoError('SERVER_UNREACHABLE', `the server answered with status ${status} and no error of Cargo's`);
}

/** For calls whose answer says nothing. */
export const NoAnswer = z.unknown();
