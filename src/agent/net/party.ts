import type { PeerCertificate } from 'node:tls';

/** Who is at the other end of a connection, as its certificate says: the server, or the host with that id. */
export type Party = { kind: 'server' } | { kind: 'host'; hostId: string };

/**
 * Reads the one `cargo://` URI among the alternative names of a certificate that was verified against the CA; null when
 * there is none or more than one. Node puts names that hold special characters in quotes, so a comma always separates.
 */
export function partyOf(subjectAltName: string | undefined): Party | null {
  const uris = (subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:cargo://'));
  const [uri] = uris;
  if (uri === undefined || uris.length > 1) return null;
  if (uri === 'URI:cargo://server') return { kind: 'server' };
  const hostId = /^URI:cargo:\/\/host\/([0-9a-f-]{36})$/.exec(uri)?.[1];
  return hostId === undefined ? null : { kind: 'host', hostId };
}

export function partyUri(party: Party): string {
  return party.kind === 'server' ? 'cargo://server' : `cargo://host/${party.hostId}`;
}

/** A `checkServerIdentity` for TLS: parts are known by the URI in their certificate, not by the address they're reached at. */
export function expectParty(expected: Party): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (host, certificate) => {
    const party = partyOf(certificate.subjectaltname);
    if (party !== null && partyUri(party) === partyUri(expected)) return undefined;
    return new Error(`${host} is not ${partyUri(expected)}: its certificate is for ${certificate.subjectaltname}`);
  };
}
