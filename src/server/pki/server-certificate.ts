import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { readIfThere, replaceDurably } from '../../files/durable-file.ts';
import type { DataDir } from '../data-dir.ts';
import type { Authority } from './authority.ts';
import { SERVER_IDENTITY } from './identity.ts';
import type { AlternativeName } from './issue.ts';
import { loadKey } from './keys.ts';

/** What the server shows to clients and, as a client, to agents. All PEM. */
export type Credentials = { ca: string; certificate: string; key: string };

/** The server's certificate for these names, issued anew when the names changed or its end is near. */
export async function loadServerCertificate(
  dir: DataDir,
  authority: Authority,
  names: readonly AlternativeName[],
): Promise<Credentials> {
  const key = await loadKey(dir.serverKey);
  const there = await readIfThere(dir.serverCertificate);
  const usable = there !== null && isUsable(there, key, authority, names);
  const certificate = usable ? there : await issueServer(key, authority, names);
  if (!usable) await replaceDurably(dir.serverCertificate, certificate);
  return { ca: authority.pem, certificate, key: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

async function issueServer(key: KeyObject, authority: Authority, names: readonly AlternativeName[]): Promise<string> {
  return authority.issue({ commonName: 'cargo-server', publicKey: createPublicKey(key), names });
}

function isUsable(pem: string, key: KeyObject, authority: Authority, names: readonly AlternativeName[]): boolean {
  const certificate = new X509Certificate(pem);
  const lastsAsLong = certificate.validToDate.getTime() === authority.certificate.validToDate.getTime();
  return (
    certificate.checkPrivateKey(key) &&
    certificate.verify(authority.certificate.publicKey) &&
    (!isServerRenewalDue(pem) || lastsAsLong) &&
    sameNames(certificate, names)
  );
}

/** True once less than a third of its life is left. */
export function isServerRenewalDue(pem: string): boolean {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  const leftMs = validToDate.getTime() - Date.now();
  return leftMs < (validToDate.getTime() - validFromDate.getTime()) / 3;
}

function sameNames(certificate: X509Certificate, names: readonly AlternativeName[]): boolean {
  const has = (certificate.subjectAltName ?? '').split(', ').length;
  return (
    has === names.length &&
    names.every(({ type, value }) => {
      if (type === 'ip') return certificate.checkIP(value) !== undefined;
      if (type === 'dns') return certificate.checkHost(value, { wildcards: false }) !== undefined;
      return certificate.subjectAltName?.split(', ').includes(`URI:${value}`) === true;
    })
  );
}

/** Under which names clients may reach a server that listens on `address`: a wildcard stands for all of the machine's. */
export function serverNames(address: string, more: readonly string[]): AlternativeName[] {
  const wildcard = address === '0.0.0.0' || address === '::';
  const reached = wildcard ? machineAddresses() : [address];
  const all = new Set([...reached, hostname(), 'localhost', '127.0.0.1', '::1', ...more]);
  const names = [...all].map((value): AlternativeName => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }));
  return [{ type: 'url', value: SERVER_IDENTITY }, ...names];
}

function machineAddresses(): string[] {
  const found = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return found.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address);
}
