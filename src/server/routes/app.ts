import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import type { ApiTokens } from '../auth/api-tokens.ts';
import type { FailedAttempts } from '../auth/failed-attempts.ts';
import type { JoinTokens } from '../auth/join-tokens.ts';
import type { Enrolment } from '../hosts/enrolment.ts';
import type { HostNames } from '../hosts/host-names.ts';
import type { HostRegistry } from '../hosts/registry.ts';
import type { Revocations } from '../hosts/revocations.ts';
import type { Metrics } from '../metrics.ts';
import type { MigrationService } from '../migrations/service.ts';
import type { Store } from '../store/store.ts';

/** What the routes work with. */
export type ServerParts = {
  store: Store;
  hosts: HostRegistry;
  hostNames: HostNames;
  revocations: Revocations;
  enrolment: Enrolment;
  migrations: MigrationService;
  joinTokens: JoinTokens;
  apiTokens: ApiTokens;
  /** Wrong API tokens, and wrong join tokens, by address. */
  failedTokens: FailedAttempts;
  failedJoins: FailedAttempts;
  caPem: string;
  /** See HeartbeatAnswer. */
  term: number;
  metrics: Metrics;
  log: Logger;
  /** Aborts when the server stops: ends what is waiting. */
  closing: AbortSignal;
};

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse<IncomingMessage>,
  Logger,
  ZodTypeProvider
>;

/** The answers that are no success, for the OpenAPI document. */
export const failed = { '4xx': ErrorBody, '5xx': ErrorBody };

/** A list never hangs on a host that is away. */
export const LIST_LIMIT_MS = 1_500;

/** Aborts when the client hangs up before it was answered. */
export function clientGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort(new CargoError('CANCELLED', 'the client hung up')));
  return gone.signal;
}
