import { z } from 'zod';
import { type FailureCode, type FailureHandling, failures, isFailureCode } from './failures.ts';

/** The body of every REST answer that isn't a success. */
export const ErrorBody = z.object({
  error: z.object({
    code: z.string().describe('Stable, one of the catalogue in src/api/failures.ts.'),
    message: z.string().describe('What happened and what to do about it.'),
    details: z.unknown().optional().describe('Depends on the code: candidates, findings of a plan, …'),
  }),
});
export type ErrorBody = z.infer<typeof ErrorBody>;

/** A failure with a stable code, as the REST API and cargoctl show it. `details` must be JSON and hold no secret. */
export class CargoError extends Error {
  readonly code: FailureCode;
  readonly details: unknown;

  constructor(code: FailureCode, message: string, options: { cause?: unknown; details?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CargoError';
    this.code = code;
    this.details = options.details;
  }

  get handling(): FailureHandling {
    return failures[this.code];
  }

  toBody(): ErrorBody {
    const { code, message, details } = this;
    return { error: details === undefined ? { code, message } : { code, message, details } };
  }

  /** The error that a part sent over the wire; unknown codes become INTERNAL, so a newer peer can't confuse an older one. */
  static fromBody(body: ErrorBody): CargoError {
    const { code, message, details } = body.error;
    return new CargoError(isFailureCode(code) ? code : 'INTERNAL', message, { details });
  }

  /** Any thrown value as a CargoError: itself, or wrapped as INTERNAL with its message kept. */
  static from(thrown: unknown): CargoError {
    if (thrown instanceof CargoError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new CargoError('INTERNAL', message, { cause: thrown });
  }
}
