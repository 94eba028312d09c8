import type { PeerCertificate, TLSSocket } from 'node:tls';
import { HostId } from '../../api/host.ts';
import type { Validity } from '../hosts/known-host.ts';

/** Who a certificate of Cargo's CA belongs to is said by its URI name alone; addresses change. */
export const SERVER_IDENTITY = 'cargo://server';
const HOST_PREFIX = 'cargo://host/';

export function hostIdentity(hostId: string): string {
  return `${HOST_PREFIX}${hostId}`;
}

/** For TLS connections to an agent: its certificate must be the one of exactly that host, wherever it was reached. */
export function checkHostIdentity(
  hostId: string,
): (hostname: string, certificate: PeerCertificate) => Error | undefined {
  return (_hostname, certificate) => {
    const found = cargoNames(certificate);
    if (found.length === 1 && found[0] === hostIdentity(hostId)) return undefined;
    return new Error(`what answered is ${found.join(', ') || 'nobody of Cargo'}, not host ${hostId}`);
  };
}

/** What the certificate at the other end says: whose it is, where it is a host's of this server's CA, and for how long. */
export type PeerIdentity = { hostId: string | null; validity: Validity };

/** A TLS 1.3 connection keeps the certificate of its handshake, and reading it takes a third of a millisecond. */
const identities = new WeakMap<TLSSocket, PeerIdentity>();

export function peerIdentity(socket: TLSSocket): PeerIdentity {
  const known = identities.get(socket);
  if (known !== undefined) return known;
  const certificate = socket.getPeerCertificate();
  const validity = { fromMs: Date.parse(certificate.valid_from), toMs: Date.parse(certificate.valid_to) };
  const identity = { hostId: socket.authorized ? hostIdIn(certificate) : null, validity };
  identities.set(socket, identity);
  return identity;
}

/**
 * The id of the host at the other end, if it showed a certificate of this server's CA; else null, also once that has run
 * out on a connection that stayed open.
 */
export function peerHostId(socket: TLSSocket): string | null {
  const { hostId, validity } = peerIdentity(socket);
  return validity.toMs <= Date.now() ? null : hostId;
}

function hostIdIn(certificate: PeerCertificate): string | null {
  const [name, ...more] = cargoNames(certificate);
  if (name === undefined || more.length > 0 || !name.startsWith(HOST_PREFIX)) return null;
  const id = HostId.safeParse(name.slice(HOST_PREFIX.length));
  return id.success ? id.data : null;
}

/** Node writes the names as `URI:a, DNS:b`, in quotes where they hold anything odd, which Cargo's never do. */
function cargoNames(certificate: PeerCertificate): string[] {
  const names = (certificate.subjectaltname ?? '').split(', ');
  return names.filter((name) => name.startsWith('URI:cargo://')).map((name) => name.slice('URI:'.length));
}
