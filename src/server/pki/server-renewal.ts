import { X509Certificate } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Credentials, isServerRenewalDue } from './server-certificate.ts';

const LONGEST_WAIT_MS = 3_600_000;
const SHORTEST_WAIT_MS = 1_000;
/** So many looks in a certificate's life: the third that is left when it is due has a third of them. */
const LOOKS = 60;

/** Replaces the server's certificate before it ends, until the signal aborts; what fails is tried again. */
export async function keepServerRenewed(options: {
  current: Credentials;
  /** Issues a certificate and returns once it is on disk. */
  renew: () => Promise<Credentials>;
  onRenewed: (credentials: Credentials) => void;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { renew, onRenewed, log, signal } = options;
  let { current } = options;
  for (;;) {
    await delay(waitMs(current), undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    if (!isServerRenewalDue(current.certificate)) continue;
    try {
      current = await renew();
      onRenewed(current);
      log.info({ until: endOf(current) }, "the server's certificate was renewed");
    } catch (error) {
      log.error({ err: error, until: endOf(current) }, "the server's certificate could not be renewed");
    }
  }
}

export function endOf({ certificate }: Credentials): Date {
  return new X509Certificate(certificate).validToDate;
}

function waitMs({ certificate }: Credentials): number {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  const part = (validToDate.getTime() - validFromDate.getTime()) / LOOKS;
  return Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, part));
}
