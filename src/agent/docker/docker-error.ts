import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';

const HttpFailure = z.looseObject({ statusCode: z.number(), json: z.unknown(), message: z.string() });
const SystemFailure = z.looseObject({ code: z.string() });
const Answer = z.looseObject({ message: z.string() });

const unreachable = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES', 'ENOTSOCK', 'ETIMEDOUT']);

/** What a call of the Docker Engine threw, in the words of the catalogue. `what` completes "could not …". */
export function dockerError(thrown: unknown, what: string, path: string): CargoError {
  if (thrown instanceof CargoError) return thrown;
  const http = HttpFailure.safeParse(thrown);
  if (http.success) return httpError(http.data, what, path, thrown);
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

function httpError(failure: z.infer<typeof HttpFailure>, what: string, path: string, cause: unknown): CargoError {
  const status = failure.statusCode;
  const answer = Answer.safeParse(failure.json);
  const said = answer.success ? answer.data.message : failure.message;
  const options = { cause, details: { status } };
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
