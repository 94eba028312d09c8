import { X509Certificate } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { JoinResponse } from '../../api/join.ts';
import type { Credentials, HostIdentity } from './identity.ts';
import { RAN_OUT } from './ran-out.ts';
import type { ServerClient } from './server-client.ts';

const LONGEST_WAIT_MS = 3_600_000;
const SHORTEST_WAIT_MS = 1_000;
/** A failed renewal is tried again so many times in what is left of the certificate's life, at least. */
const TRIES = 20;
/** How often a host whose certificate ran out looks for a new join token. */
const REJOIN_WAIT_MS = 5_000;

/** When a third of the certificate's life is left, ms since the epoch. */
function renewalDueMs({ validFromDate, validToDate }: X509Certificate): number {
  return validToDate.getTime() - (validToDate.getTime() - validFromDate.getTime()) / 3;
}

/** True once less than a third of the certificate's life is left. */
export function isRenewalDue(certificate: string, now: Date): boolean {
  return now.getTime() > renewalDueMs(new X509Certificate(certificate));
}

/** How long until the certificate is to be looked at again, ms. */
export function waitForRenewal(certificate: string, now: Date): number {
  const parsed = new X509Certificate(certificate);
  const leftMs = parsed.validToDate.getTime() - now.getTime();
  const waitMs = isRenewalDue(certificate, now) ? leftMs / TRIES : renewalDueMs(parsed) - now.getTime();
  return Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, waitMs));
}

export type RenewalOptions = {
  identity: HostIdentity;
  server: () => ServerClient;
  onRenewed: (credentials: Credentials) => void;
  /** Joins again, for a host whose certificate ran out. */
  rejoin: () => Promise<Credentials | null>;
  log: Logger;
  signal: AbortSignal;
};

/** Keeps the certificate fresh until the signal aborts: renews it when it is due, and tries again when that fails. */
export async function keepRenewed(options: RenewalOptions): Promise<void> {
  const { identity, log, signal } = options;
  let toldOfEnd = false;
  while (!signal.aborted) {
    const current = identity.credentials();
    if (current === null) {
      if (!toldOfEnd) log.error(RAN_OUT);
      toldOfEnd = true;
      const joined = await options.rejoin();
      if (joined !== null) options.onRenewed(joined);
    } else {
      toldOfEnd = false;
      if (isRenewalDue(current.certificate, new Date())) await renewOnce(options, current);
    }
    const now = identity.credentials();
    const waitMs = now === null ? REJOIN_WAIT_MS : waitForRenewal(now.certificate, new Date());
    await delay(waitMs, undefined, { signal }).catch(() => {});
  }
}

async function renewOnce(options: RenewalOptions, current: Credentials): Promise<void> {
  const { identity, log, signal } = options;
  try {
    const csr = identity.certificateRequest();
    const { certificate } = await options.server().post('/v1/renew', { csr }, JoinResponse, signal);
    options.onRenewed(await identity.join({ certificate, ca: current.ca }));
    log.info({ until: new X509Certificate(certificate).validToDate }, 'the certificate was renewed');
  } catch (thrown) {
    if (signal.aborted) return;
    const { code, message } = CargoError.from(thrown);
    const until = new X509Certificate(current.certificate).validToDate;
    log.warn({ code, reason: message, until }, 'the certificate could not be renewed; it will be tried again');
  }
}
