import { errors, type Pool } from 'undici';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import { type Host, TERM_HEADER } from '../../api/host.ts';

export type AgentRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: unknown;
  /** How long the agent may take to answer, ms. */
  limitMs: number;
  /** Of the server that calls. */
  term?: number;
  /** Tag of an answer that is known: the agent needn't send it again. */
  knownTag?: string;
};

/** `body`: parsed JSON, null where there is none. `isKnown`: it is what the request's tag stands for, and wasn't sent. */
export type AgentAnswer = { body: unknown; tag: string | null; isKnown: boolean };

/**
 * One call of an agent's REST API. Every call of that API may be sent twice, so one that met a kept-alive connection in
 * its last moment is sent again.
 * @throws CargoError AGENT_UNREACHABLE, or the agent's own error
 */
export async function callAgent(
  pool: Pool,
  host: Host,
  request: AgentRequest,
  signal: AbortSignal,
): Promise<AgentAnswer> {
  try {
    return await exchange(pool, host, request, signal).catch((error: unknown) => {
      if (!wasCut(error) || signal.aborted) throw error;
      return exchange(pool, host, request, signal);
    });
  } catch (error) {
    if (error instanceof CargoError) throw error;
    signal.throwIfAborted();
    throw unreachable(host, error);
  }
}

async function exchange(pool: Pool, host: Host, request: AgentRequest, signal: AbortSignal): Promise<AgentAnswer> {
  const { statusCode, headers, body } = await pool.request({
    method: request.method,
    path: request.path,
    signal,
    headersTimeout: request.limitMs,
    bodyTimeout: request.limitMs,
    headers: {
      [TERM_HEADER]: String(request.term ?? 0),
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(request.knownTag === undefined ? {} : { 'if-none-match': request.knownTag }),
    },
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
  });
  const text = await body.text();
  const json = parseJson(text);
  const tag = typeof headers['etag'] === 'string' ? headers['etag'] : null;
  if (statusCode < 400) return { body: json, tag, isKnown: statusCode === 304 };
  const failure = ErrorBody.safeParse(json);
  if (failure.success) throw saidBy(host, failure.data);
  throw new CargoError('INTERNAL', `the agent of ${host.name} answered ${request.path} with HTTP ${statusCode}`);
}

/** An agent speaks of "this host": the operator must see which. */
export function saidBy(host: Host, { error }: ErrorBody): CargoError {
  return CargoError.fromBody({ error: { ...error, message: `${host.name}: ${error.message}` } });
}

function parseJson(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function wasCut(error: unknown): boolean {
  if (error instanceof errors.SocketError) return true;
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

function isTimeout(error: unknown): boolean {
  return error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError;
}

function unreachable(host: Host, cause: unknown): CargoError {
  const reason = isTimeout(cause) ? 'it is silent' : cause instanceof Error ? cause.message : String(cause);
  const hint = 'check that cargo-agent runs there and that the server can reach it';
  return new CargoError('AGENT_UNREACHABLE', `no answer from ${host.name} (${host.dataAddress}): ${reason}; ${hint}`, {
    cause,
  });
}
