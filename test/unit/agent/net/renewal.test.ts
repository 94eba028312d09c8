import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { HostIdentity } from '../../../../src/agent/net/identity.ts';
import { isRenewalDue, keepRenewed, waitForRenewal } from '../../../../src/agent/net/renewal.ts';
import type { ServerClient } from '../../../../src/agent/net/server-client.ts';
import { requestedKey } from '../../../../src/server/pki/authority.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { TestAuthority } from './test-authority.ts';

const log = pino({ level: 'silent' });

test('renewal is due once less than a third of the life is left', async () => {
  const { certificate } = await (await TestAuthority.make()).credentials('cargo://server');
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  const at = (part: number) =>
    new Date(validFromDate.getTime() + part * (validToDate.getTime() - validFromDate.getTime()));
  expect(isRenewalDue(certificate, at(0))).toBe(false);
  expect(isRenewalDue(certificate, at(0.66))).toBe(false);
  expect(isRenewalDue(certificate, at(0.67))).toBe(true);
});

test('a certificate near its end is replaced at once, for the same key', async () => {
  await using directory = await temporaryDirectory();
  const authority = await TestAuthority.make();
  const path = join(directory.path, 'identity.json');
  const identity = await HostIdentity.open(path);
  const key = await requestedKey(identity.certificateRequest());
  const uri = `cargo://host/${identity.hostId}`;
  const soon = new Date(Date.now() + 60_000);
  const old = await identity.join({ certificate: await authority.issue(key, [uri], soon), ca: authority.pem });

  vi.setSystemTime(soon.getTime() - 10_000);
  const stop = new AbortController();
  const renewals: string[] = [];
  const post = async (_path: string, body: { csr: string }) => {
    const certificate = await authority.issue(await requestedKey(body.csr), [uri]);
    return { certificate, ca: authority.pem };
  };
  const server = () => ({ post }) as unknown as ServerClient;
  const onRenewed = ({ certificate }: { certificate: string }) => {
    renewals.push(certificate);
    stop.abort();
  };
  await keepRenewed({ identity, server, onRenewed, rejoin: async () => null, log, signal: stop.signal });
  vi.useRealTimers();
  const kept = (await HostIdentity.open(path)).credentials();
  expect(renewals).toEqual([kept?.certificate]);
  expect(kept?.certificate).not.toBe(old.certificate);
  expect(new X509Certificate(kept?.certificate ?? '').publicKey.equals(key)).toBe(true);
});

test('a renewal that fails is tried again at least twenty times before the certificate ends', async () => {
  const { certificate } = await (await TestAuthority.make()).credentials('cargo://server');
  const endMs = new X509Certificate(certificate).validToDate.getTime();
  const beginMs = new X509Certificate(certificate).validFromDate.getTime();
  let tries = 0;
  for (let nowMs = beginMs; nowMs < endMs; nowMs += waitForRenewal(certificate, new Date(nowMs))) {
    if (isRenewalDue(certificate, new Date(nowMs))) tries += 1;
  }
  expect(tries).toBeGreaterThan(20);
});
