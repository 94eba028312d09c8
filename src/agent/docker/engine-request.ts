import { type IncomingMessage, request } from 'node:http';
import { addAbortSignal, type Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { CargoError } from '../../api/cargo-error.ts';
import { dockerError, EngineFailure } from './docker-error.ts';

export type EngineCall = {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  /** Completes "could not …" in the message of a failure. */
  what: string;
  signal: AbortSignal;
  query?: Record<string, string>;
  body?: unknown;
  /** A request body that is streamed. */
  upload?: Readable;
  /** Statuses beside 200, 201 and 204 that are no failure. */
  alsoFine?: number[];
  limitMs?: number;
};

const DEFAULT_LIMIT_MS = 60_000;
const fine = [200, 201, 204];

/**
 * Calls of the Docker Engine API, each over a connection of its own: a daemon that was restarted meanwhile is none that a
 * kept connection breaks at. Node's own HTTP client: dockerode with what it depends on costs an agent 20 MB.
 */
export class EngineRequests {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /**
   * The parsed JSON of the answer, null where it is none.
   * @throws CargoError DOCKER_UNREACHABLE, CONTAINER_NOT_FOUND, DOCKER_ERROR, DISK_FULL
   */
  async json(call: EngineCall): Promise<unknown> {
    const limitMs = call.limitMs ?? DEFAULT_LIMIT_MS;
    const limit = AbortSignal.timeout(limitMs);
    try {
      return parseJson(await text(await this.#exchange(call, AbortSignal.any([call.signal, limit]))));
    } catch (thrown) {
      call.signal.throwIfAborted();
      if (limit.aborted) {
        throw new CargoError('DOCKER_UNREACHABLE', `could not ${call.what}: Docker gave no answer in ${limitMs} ms`, {
          cause: thrown,
        });
      }
      throw dockerError(thrown, call.what, call.path);
    } finally {
      call.upload?.destroy();
    }
  }

  /** The body of the answer as it comes; ended by the call's signal. */
  async stream(call: EngineCall): Promise<Readable> {
    try {
      return await this.#exchange(call, call.signal);
    } catch (thrown) {
      call.signal.throwIfAborted();
      throw dockerError(thrown, call.what, call.path);
    }
  }

  /** An answer that is no failure, its body still to be read. */
  async #exchange(call: EngineCall, signal: AbortSignal): Promise<IncomingMessage> {
    signal.throwIfAborted();
    const response = addAbortSignal(signal, await this.#send(call, signal));
    const status = response.statusCode ?? 0;
    if (fine.includes(status) || call.alsoFine?.includes(status)) return response;
    throw new EngineFailure(status, await text(response));
  }

  #send(call: EngineCall, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const { method, path, query = {}, upload } = call;
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const sent = request({
      ...{ socketPath: this.#socketPath, agent: false, method, signal },
      path: Object.keys(query).length > 0 ? `${path}?${new URLSearchParams(query)}` : path,
      headers: headersOf(body, upload),
    });
    sent.once('response', resolve);
    // Stays on: a connection that breaks while the body is read breaks the body, too.
    sent.on('error', reject);
    if (upload === undefined) sent.end(body);
    else {
      upload.once('error', (error) => sent.destroy(error));
      upload.pipe(sent);
    }
    return promise;
  }
}

function headersOf(body: string | undefined, upload: Readable | undefined): Record<string, string | number> {
  if (upload !== undefined) return { 'content-type': 'application/x-tar' };
  if (body === undefined) return {};
  return { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
}

function parseJson(said: string): unknown {
  try {
    return JSON.parse(said);
  } catch {
    return null;
  }
}
