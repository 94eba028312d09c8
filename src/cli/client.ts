import { checkServerIdentity as checkHostName, type PeerCertificate } from 'node:tls';
import { Agent, request } from 'undici';
import { type ZodType, z } from 'zod';
import { CargoError, ErrorBody } from '../api/cargo-error.ts';
import { Interrupted } from './interrupted.ts';
import type { Settings } from './settings.ts';
import { unreachable } from './unreachable.ts';

const CONNECT_LIMIT_MS = 10_000;
const ANSWER_LIMIT_MS = 60_000;
const LARGEST_ANSWER = 64 * 1024 * 1024;

export type Call<T> = {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  body?: unknown;
  answer: ZodType<T>;
  /** How long the server may take to answer. */
  limitMs?: number;
};

/** One cargo-server over REST. Every failure is a CargoError, except Interrupted when the signal aborted. */
export class Client implements AsyncDisposable {
  readonly #settings: Settings;
  readonly #signal: AbortSignal;
  readonly #agent: Agent;

  constructor(settings: Settings, signal: AbortSignal) {
    this.#settings = settings;
    this.#signal = signal;
    this.#agent = new Agent({
      connect: { timeout: CONNECT_LIMIT_MS, checkServerIdentity, ...(settings.ca === null ? {} : { ca: settings.ca }) },
      maxResponseSize: LARGEST_ANSWER,
    });
  }

  async call<T>(call: Call<T>): Promise<T> {
    const { status, text } = await this.#exchange(call);
    const body = parseJson(text);
    if (status >= 400) throw refusal(status, body, this.#settings.server);
    const answer = call.answer.safeParse(body);
    if (answer.success) return answer.data;
    throw new CargoError(
      'PROTOCOL_ERROR',
      `the answer of ${this.#settings.server.origin} to ${call.method} ${call.path} isn't understood: ` +
        `do server and cargoctl have the same version? ${z.prettifyError(answer.error)}`,
    );
  }

  async #exchange(call: Call<unknown>): Promise<{ status: number; text: string }> {
    const limitMs = call.limitMs ?? ANSWER_LIMIT_MS;
    const { token } = this.#settings;
    try {
      const answer = await request(new URL(call.path, this.#settings.server), {
        method: call.method,
        dispatcher: this.#agent,
        signal: this.#signal,
        headersTimeout: limitMs,
        bodyTimeout: ANSWER_LIMIT_MS,
        headers: {
          accept: 'application/json',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      });
      return { status: answer.statusCode, text: await answer.body.text() };
    } catch (error) {
      if (this.#signal.aborted) throw new Interrupted();
      throw unreachable(error, this.#settings.server, limitMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

/**
 * Cargo's own CA signs agents too: only the certificate that says `cargo://server` is the server's, at whatever address.
 * A certificate of another authority is held to its host name, as usual.
 */
function checkServerIdentity(hostname: string, certificate: PeerCertificate): Error | undefined {
  const names = (certificate.subjectaltname ?? '').split(', ');
  if (names.includes('URI:cargo://server')) return undefined;
  if (!names.some((name) => name.startsWith('URI:cargo://'))) return checkHostName(hostname, certificate);
  return Object.assign(new Error('this is an agent, not the server'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(status: number, body: unknown, server: URL): CargoError {
  const parsed = ErrorBody.safeParse(body);
  if (parsed.success) return withHint(CargoError.fromBody(parsed.data));
  // what a reverse proxy says while the server behind it is away
  const away = status >= 502 && status <= 504;
  return new CargoError(
    away ? 'SERVER_UNREACHABLE' : 'PROTOCOL_ERROR',
    `${server.origin} answered HTTP ${status} without saying why: is it a cargo-server, and what stands before it?`,
  );
}

/** The server speaks of HTTP headers; the user of cargoctl sets a token elsewhere. */
function withHint(error: CargoError): CargoError {
  if (error.code !== 'UNAUTHENTICATED') return error;
  return new CargoError(error.code, `${error.message}; cargoctl takes it from CARGO_TOKEN or \`cargoctl login\``, {
    details: error.details,
  });
}
