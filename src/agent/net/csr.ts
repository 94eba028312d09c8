import 'reflect-metadata';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** A PKCS#10 request (RFC 2986), PEM, for an EC P-256 key. */
export async function certificateRequest(privateKey: KeyObject, commonName: string): Promise<string> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [commonName] }],
    keys: {
      privateKey: privateKey.toCryptoKey(P256, true, ['sign']),
      publicKey: createPublicKey(privateKey).toCryptoKey(P256, true, ['verify']),
    },
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  });
  return request.toString('pem');
}
