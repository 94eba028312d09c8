import { Agent, type Dispatcher, request } from 'undici';
import { z } from 'zod';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import type { Credentials } from './identity.ts';
import { expectParty } from './party.ts';

const CALL_LIMIT_MS = 10_000;
const CONNECT_LIMIT_MS = 5_000;

/** How much is known of the server: nothing yet, its CA, or its CA and who we are. */
export type Trust = { kind: 'unverified' } | { kind: 'ca'; ca: string } | { kind: 'mutual'; credentials: Credentials };

/** The server's REST API over one kept-alive connection. Dispose of it to close the connection. */
export class ServerClient implements AsyncDisposable {
  readonly #url: URL;
  readonly #connections: Agent;

  constructor(url: URL, trust: Trust) {
    this.#url = url;
    this.#connections = new Agent({
      connect: { ...tlsOptions(trust), timeout: CONNECT_LIMIT_MS },
      connections: 1,
      // A resumed TLS session would skip the check of the server's name.
      maxCachedSessions: 0,
      keepAliveTimeout: 30_000,
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections.close();
  }

  async #call<T>(
    call: { method: 'GET' | 'POST'; path: string; body?: string },
    answer: z.ZodType<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { status, text } = await this.#exchange(call, AbortSignal.any([signal, AbortSignal.timeout(CALL_LIMIT_MS)]));
    const body = parseJson(text);
    if (status >= 400) throw refusal(status, body);
    const parsed = answer.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new CargoError('INTERNAL', `${this.#url.origin}${call.path} answered what is no answer of a cargo-server`);
  }

  async #exchange(
    call: { method: 'GET' | 'POST'; path: string; body?: string },
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    const options: Parameters<typeof request>[1] = {
      method: call.method,
      dispatcher: this.#connections as Dispatcher,
      signal,
      headers: { 'content-type': 'application/json' },
      ...(call.body === undefined ? {} : { body: call.body }),
    };
    try {
      const response = await request(new URL(call.path, this.#url), options);
      return { status: response.statusCode, text: await response.body.text() };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CargoError('SERVER_UNREACHABLE', `the server at ${this.#url.origin} can't be reached: ${reason}`, {
        cause: error,
      });
    }
  }
}

function tlsOptions(trust: Trust): Agent.Options['connect'] {
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
