import { X509Certificate } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { JoinResponse } from '../../api/join.ts';
import type { Credentials, HostIdentity } from './identity.ts';
import type { ServerClient } from './server-client.ts';

const CHECK_INTERVAL_MS = 3_600_000;

/** True once less than a third of the certificate's life is left. */
export function isRenewalDue(certificate: string, now: Date): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  const third = (validToDate.getTime() - validFromDate.getTime()) / 3;
  return validToDate.getTime() - now.getTime() < third;
}

/** Keeps the certificate fresh: looks at it now and every hour, until the signal aborts. */
export async function keepRenewed(options: {
  identity: HostIdentity;
  server: () => ServerClient;
  onRenewed: (credentials: Credentials) => void;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { identity, log, signal } = options;
  while (!signal.aborted) {
    const current = identity.credentials();
    if (current === null) log.error('the certificate of this host ran out: restart the agent with a new join token');
    else if (isRenewalDue(current.certificate, new Date())) await renewOnce(options, current);
    await delay(CHECK_INTERVAL_MS, undefined, { signal }).catch(() => {});
  }
}

async function renewOnce(options: Parameters<typeof keepRenewed>[0], current: Credentials): Promise<void> {
  try {
    const csr = await options.identity.certificateRequest();
    const { certificate } = await options.server().post('/v1/renew', { csr }, JoinResponse, options.signal);
    options.onRenewed(await options.identity.join({ certificate, ca: current.ca }));
    options.log.info('the certificate was renewed');
  } catch (error) {
    options.log.warn({ err: error }, 'the certificate could not be renewed; it will be tried again in an hour');
  }
}
