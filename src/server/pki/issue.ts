import 'reflect-metadata';
import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
/** Certificates count from an hour ago, or a tenth of a short life, for machines whose clocks are behind. */
const BACKDATED_MS = 3_600_000;
const BACKDATED_PART = 0.1;

export type AlternativeName = { type: 'dns' | 'ip' | 'url'; value: string };

export type Issue = {
  commonName: string;
  publicKey: KeyObject;
  names: readonly AlternativeName[];
  notAfter: Date;
};

export type Issuer = { commonName: string; key: KeyObject };

/** A self-signed certificate that may sign leaf certificates alone, PEM. */
export async function issueAuthority(issuer: Issuer, notAfter: Date): Promise<string> {
  const publicKey = toCryptoKey(createPublicKey(issuer.key));
  return sign({ commonName: issuer.commonName, publicKey, notAfter }, issuer, [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(publicKey),
  ]);
}

/** A certificate for both ends of a TLS connection, PEM. */
export async function issueLeaf(issue: Issue, issuer: Issuer): Promise<string> {
  const publicKey = toCryptoKey(issue.publicKey);
  return sign({ ...issue, publicKey }, issuer, [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    new SubjectAlternativeNameExtension([...issue.names]),
    await SubjectKeyIdentifierExtension.create(publicKey),
    await AuthorityKeyIdentifierExtension.create(toCryptoKey(createPublicKey(issuer.key))),
  ]);
}

async function sign(
  subject: { commonName: string; publicKey: webcrypto.CryptoKey; notAfter: Date },
  issuer: Issuer,
  extensions: Extension[],
): Promise<string> {
  const nowMs = Date.now();
  const certificate = await X509CertificateGenerator.create({
    subject: distinguishedName(subject.commonName),
    issuer: distinguishedName(issuer.commonName),
    notBefore: new Date(nowMs - Math.min(BACKDATED_MS, (subject.notAfter.getTime() - nowMs) * BACKDATED_PART)),
    notAfter: subject.notAfter,
    publicKey: subject.publicKey,
    signingKey: issuer.key.toCryptoKey(P256, false, ['sign']),
    signingAlgorithm: SIGNATURE,
    extensions,
  });
  return `${certificate.toString('pem')}\n`;
}

/** As data, not as text to be parsed: a name can't add fields of its own. */
function distinguishedName(commonName: string): Name {
  return new Name([{ CN: [{ utf8String: commonName }] }]);
}

function toCryptoKey(key: KeyObject): webcrypto.CryptoKey {
  return key.toCryptoKey(P256, true, ['verify']);
}
