import type { FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';

const RetryAfter = z.object({ retryAfterSeconds: z.int().min(1) });

/** How fastify's own refusals are told: https://fastify.dev/docs/latest/Reference/Errors/ */
const refusals: Record<string, { code: 'BAD_REQUEST' | 'BODY_TOO_LARGE'; message: string }> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'BODY_TOO_LARGE', message: 'the body is larger than this call takes' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'BAD_REQUEST',
    message: 'the body must be JSON: send "Content-Type: application/json"',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'BAD_REQUEST', message: 'the body is not as long as its Content-Length' },
  FST_ERR_BAD_URL: { code: 'BAD_REQUEST', message: 'the path is not a valid URL path' },
};

/** The one place where failures become answers. What nobody foresaw is logged with its cause, and told without it. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const failure = toFailure(error, request.id);
  const { httpStatus } = failure.handling;
  const wait = RetryAfter.safeParse(failure.details);
  if (wait.success) reply.header('retry-after', wait.data.retryAfterSeconds);
  if (httpStatus === 500) request.log.error({ err: error, reqId: request.id }, `${request.method} failed`);
  // fastify would close the connection at once; a client that is still sending would be cut off and never see the answer.
  reply.removeHeader('connection');
  void reply.status(httpStatus).type('application/json').send(failure.toBody());
}

export function answerNotFound(request: FastifyRequest, reply: FastifyReply): void {
  const path = request.url.split('?')[0];
  answerError(new CargoError('NOT_FOUND', `there is no ${request.method} ${path}: see /openapi.json`), request, reply);
}

function toFailure(error: unknown, requestId: string): CargoError {
  if (error instanceof CargoError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) return new CargoError('BAD_REQUEST', sentence(error));
  if (hasStatus(error) && error.statusCode < 500) {
    const refusal = refusals[error.code ?? ''];
    return new CargoError(refusal?.code ?? 'BAD_REQUEST', refusal?.message ?? error.message);
  }
  return new CargoError('INTERNAL', `something went wrong in the server: its log tells more, request ${requestId}`);
}

function hasStatus(error: unknown): error is { statusCode: number; code?: string; message: string } {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number';
}

/** "target: expected string, received number; unknown field colour" */
function sentence(error: { validation: readonly unknown[] }): string {
  return error.validation.map((issue) => describeIssue(issue as Issue)).join('; ');
}

type Issue = { instancePath: string; keyword: string; message?: string; params: Record<string, unknown> };

function describeIssue({ instancePath, keyword, message = 'is not valid', params }: Issue): string {
  const field = instancePath.split('/').filter(Boolean).join('.') || 'the body';
  if (keyword === 'unrecognized_keys' && Array.isArray(params['keys'])) {
    return `unknown field ${params['keys'].join(', ')}${field === 'the body' ? '' : ` in ${field}`}`;
  }
  return `${field}: ${message.replace(/^Invalid input: /, '')}`;
}
