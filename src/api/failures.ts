/** How a failure is shown at the edges: the REST status, cargoctl's exit code, and whether the same call may work later. */
export type FailureHandling = { httpStatus: number; exitCode: number; retry: boolean };

/**
 * Every failure that a caller may tell apart. The code is stable: scripts match on it.
 * Exit codes: 1 unexpected, 2 usage, 3 not found, 4 conflict, 5 blocked by the plan, 6 not allowed,
 * 7 a part is unreachable, 8 the migration failed and was rolled back, 9 timed out, 10 data check failed.
 */
export const failures = {
  INTERNAL: { httpStatus: 500, exitCode: 1, retry: false },
  BAD_REQUEST: { httpStatus: 400, exitCode: 2, retry: false },
  BODY_TOO_LARGE: { httpStatus: 413, exitCode: 2, retry: false },
  NOT_FOUND: { httpStatus: 404, exitCode: 3, retry: false },
  HOST_NOT_FOUND: { httpStatus: 404, exitCode: 3, retry: false },
  CONTAINER_NOT_FOUND: { httpStatus: 404, exitCode: 3, retry: false },
  MIGRATION_NOT_FOUND: { httpStatus: 404, exitCode: 3, retry: false },
  CONTAINER_AMBIGUOUS: { httpStatus: 409, exitCode: 4, retry: false },
  SAME_HOST: { httpStatus: 400, exitCode: 2, retry: false },
  MIGRATION_EXISTS: { httpStatus: 409, exitCode: 4, retry: false },
  HOST_NAME_TAKEN: { httpStatus: 409, exitCode: 4, retry: false },
  WRONG_PHASE: { httpStatus: 409, exitCode: 4, retry: true },
  LOSS_NOT_ACCEPTED: { httpStatus: 409, exitCode: 4, retry: false },
  MIGRATION_OVER: { httpStatus: 409, exitCode: 4, retry: false },
  STORE_CONFLICT: { httpStatus: 409, exitCode: 4, retry: true },
  BLOCKED: { httpStatus: 409, exitCode: 5, retry: false },
  UNAUTHENTICATED: { httpStatus: 401, exitCode: 6, retry: false },
  FORBIDDEN: { httpStatus: 403, exitCode: 6, retry: false },
  JOIN_REFUSED: { httpStatus: 403, exitCode: 6, retry: false },
  HOST_REMOVED: { httpStatus: 403, exitCode: 6, retry: false },
  TOO_MANY_ATTEMPTS: { httpStatus: 429, exitCode: 6, retry: true },
  SERVER_UNREACHABLE: { httpStatus: 503, exitCode: 7, retry: true },
  AGENT_UNREACHABLE: { httpStatus: 503, exitCode: 7, retry: true },
  PEER_UNREACHABLE: { httpStatus: 503, exitCode: 7, retry: true },
  DOCKER_UNREACHABLE: { httpStatus: 503, exitCode: 7, retry: true },
  DOCKER_ERROR: { httpStatus: 502, exitCode: 8, retry: false },
  STALE_EPOCH: { httpStatus: 409, exitCode: 4, retry: false },
  STALE_SERVER: { httpStatus: 409, exitCode: 4, retry: false },
  PERMIT_REFUSED: { httpStatus: 409, exitCode: 4, retry: false },
  TARGET_STARTED: { httpStatus: 409, exitCode: 4, retry: false },
  SOURCE_FILE_CHANGED: { httpStatus: 409, exitCode: 10, retry: false },
  CHECKSUM_MISMATCH: { httpStatus: 500, exitCode: 10, retry: true },
  PROTOCOL_ERROR: { httpStatus: 502, exitCode: 10, retry: false },
  DISK_FULL: { httpStatus: 507, exitCode: 8, retry: false },
  CONTAINER_UNHEALTHY: { httpStatus: 500, exitCode: 8, retry: false },
  SUSPECT: { httpStatus: 500, exitCode: 10, retry: false },
  TARGET_REMOVED: { httpStatus: 409, exitCode: 4, retry: false },
  MIGRATION_FAILED: { httpStatus: 500, exitCode: 8, retry: false },
  CANCELLED: { httpStatus: 409, exitCode: 8, retry: false },
  TIMED_OUT: { httpStatus: 504, exitCode: 9, retry: true },
} as const satisfies Record<string, FailureHandling>;

export type FailureCode = keyof typeof failures;

export function isFailureCode(value: unknown): value is FailureCode {
  return typeof value === 'string' && Object.hasOwn(failures, value);
}
