import type { Readable } from 'node:stream';
import Docker from 'dockerode';
import { CargoError } from '../../api/cargo-error.ts';
import { dockerError } from './docker-error.ts';

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
 * One call of the Docker Engine API. It goes through dockerode's modem rather than dockerode's methods because several
 * of those drop the abort signal (`network.inspect`, `image.get`), and every wait here has a limit.
 */
export class EngineRequests {
  readonly #docker: Docker;

  constructor(socketPath: string) {
    // An explicit host, even undefined, keeps a DOCKER_HOST of the environment from taking over.
    this.#docker = new Docker({ socketPath, host: undefined });
  }

  /** The parsed JSON of the answer. @throws CargoError DOCKER_UNREACHABLE, CONTAINER_NOT_FOUND, DOCKER_ERROR, DISK_FULL */
  async json(call: EngineCall): Promise<unknown> {
    const limitMs = call.limitMs ?? DEFAULT_LIMIT_MS;
    const limit = AbortSignal.timeout(limitMs);
    try {
      const answer = await this.#dial(call, AbortSignal.any([call.signal, limit]), false);
      // The modem hands over the bytes where the JSON is `null`, and where there is no body.
      return Buffer.isBuffer(answer) ? null : answer;
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
      return (await this.#dial(call, call.signal, true)) as Readable;
    } catch (thrown) {
      call.signal.throwIfAborted();
      throw dockerError(thrown, call.what, call.path);
    }
  }

  #dial(call: EngineCall, abortSignal: AbortSignal, isStream: boolean): Promise<unknown> {
    abortSignal.throwIfAborted();
    const statusCodes = Object.fromEntries([...fine, ...(call.alsoFine ?? [])].map((status) => [status, true]));
    const query = call.query ?? {};
    const options = {
      path: Object.keys(query).length > 0 ? `${call.path}?` : call.path,
      method: call.method,
      options: { _query: query, _body: call.body ?? {} },
      ...(call.upload === undefined ? {} : { file: call.upload }),
      abortSignal,
      isStream,
      statusCodes,
    };
    return new Promise((resolve, reject) => {
      this.#docker.modem.dial(options, (error: unknown, answer: unknown) => (error ? reject(error) : resolve(answer)));
    });
  }
}
