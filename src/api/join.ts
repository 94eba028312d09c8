import { z } from 'zod';
import { CargoError } from './cargo-error.ts';
import { HostFacts, HostId, HostName } from './host.ts';

/**
 * A join token: `cargo1.<SHA-256 of the CA certificate's DER, hex>.<id>.<secret>`. The fingerprint lets an agent verify
 * the server on its very first connection; the server stores only a hash of the secret.
 */
export type JoinToken = { caSha256: string; id: string; secret: string };

const TOKEN = /^cargo1\.([0-9a-f]{64})\.([0-9a-z]{8})\.([0-9a-zA-Z_-]{32,64})$/;

/** @throws CargoError BAD_REQUEST when the text is no join token. The text itself is never part of the message. */
export function parseJoinToken(text: string): JoinToken {
  const match = TOKEN.exec(text.trim());
  if (match?.[1] === undefined || match[2] === undefined || match[3] === undefined) {
    throw new CargoError('BAD_REQUEST', 'this is no join token: make one with `cargoctl token create`');
  }
  return { caSha256: match[1], id: match[2], secret: match[3] };
}

export function formatJoinToken(token: JoinToken): string {
  return `cargo1.${token.caSha256}.${token.id}.${token.secret}`;
}

/** `POST /v1/join`, the one call an agent makes without a certificate. Calling it again with the same id is a rejoin. */
export const JoinRequest = z.object({
  tokenId: z.string(),
  tokenSecret: z.string(),
  hostId: HostId,
  name: HostName,
  csr: z.string().describe('PKCS#10, PEM. The server takes the public key alone from it.'),
  facts: HostFacts,
});
export type JoinRequest = z.infer<typeof JoinRequest>;

export const JoinResponse = z.object({ certificate: z.string().describe('PEM'), ca: z.string().describe('PEM') });
export type JoinResponse = z.infer<typeof JoinResponse>;

/** `POST /v1/renew`, over mutual TLS with the certificate that is still valid. */
export const RenewRequest = z.object({ csr: z.string() });

export const CreateTokenRequest = z.object({
  uses: z.int().min(1).max(100_000).default(1),
  ttlSeconds: z
    .int()
    .min(1)
    .max(365 * 24 * 3600)
    .default(24 * 3600),
});
export const CreateTokenResponse = z.object({ token: z.string(), expiresAt: z.iso.datetime(), uses: z.int() });
