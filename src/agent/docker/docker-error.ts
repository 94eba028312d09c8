import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';

const SystemFailure = z.looseObject({ code: z.string() });
const Answer = z.looseObject({ message: z.string() });

const unreachable = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES', 'ENOTSOCK', 'ETIMEDOUT']);

/** An answer that says that a call failed. */
export class EngineFailure extends Error {
  readonly status: number;
  /** In Docker's own words, where it found any. */
  readonly said: string;

  constructor(status: number, body: string) {
    super(`Docker answered with HTTP status ${status}`);
    this.status = status;
    this.said = wordsOf(body) ?? `(HTTP status ${status}) ${body.trim()}`;
  }
}

/** What a call of the Docker Engine threw, in the words of the catalogue. `what` completes "could not …". */
export function dockerError(thrown: unknown, what: string, path: string): CargoError {
  if (thrown instanceof CargoError) return thrown;
  if (thrown instanceof EngineFailure) return httpError(thrown, what, path);
  const system = SystemFailure.safeParse(thrown);
  if (system.success && unreachable.has(system.data.code)) {
    const message = `the Docker daemon of this host does not answer (${system.data.code}): is it running?`;
    return new CargoError('DOCKER_UNREACHABLE', message, { cause: thrown });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new CargoError(isDiskFull(message) ? 'DISK_FULL' : 'DOCKER_ERROR', `could not ${what}: ${message}`, {
    cause: thrown,
  });
}

/** True for an error that carries this HTTP status of Docker's. */
export function hasStatus(thrown: unknown, ...statuses: number[]): boolean {
  if (!(thrown instanceof CargoError)) return false;
  const details = z.looseObject({ status: z.number() }).safeParse(thrown.details);
  return details.success && statuses.includes(details.data.status);
}

function wordsOf(body: string): string | null {
  try {
    const answer = Answer.safeParse(JSON.parse(body));
    return answer.success ? answer.data.message : null;
  } catch {
    return null;
  }
}

function httpError(failure: EngineFailure, what: string, path: string): CargoError {
  const { status, said } = failure;
  const options = { cause: failure, details: { status } };
  if (/multiple IDs found with provided prefix/i.test(said)) {
    return new CargoError('CONTAINER_AMBIGUOUS', `${said}: give more of the id`, options);
  }
  if (status === 404 && /^\/containers\/(?!create)/.test(path)) {
    return new CargoError('CONTAINER_NOT_FOUND', said, options);
  }
  return new CargoError(isDiskFull(said) ? 'DISK_FULL' : 'DOCKER_ERROR', `could not ${what}: ${said}`, options);
}

function isDiskFull(message: string): boolean {
  return /no space left on device|ENOSPC|disk quota exceeded/i.test(message);
}
