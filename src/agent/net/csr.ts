import { createPublicKey, type KeyObject, sign } from 'node:crypto';

/** Tags of DER (ITU-T X.690), and the two object identifiers that are needed, encoded. */
const [INTEGER, BIT_STRING, OBJECT_ID, UTF8_STRING] = [0x02, 0x03, 0x06, 0x0c];
const [SEQUENCE, SET, ATTRIBUTES] = [0x30, 0x31, 0xa0];
const COMMON_NAME = Buffer.from('550403', 'hex');
const ECDSA_WITH_SHA256 = Buffer.from('2a8648ce3d040302', 'hex');
const PEM_LINE = 64;

/** A PKCS#10 request (RFC 2986), PEM, for an EC P-256 key. Written out here: a library for it costs an agent 12 MB. */
export function certificateRequest(privateKey: KeyObject, commonName: string): string {
  const name = der(SEQUENCE, der(OBJECT_ID, COMMON_NAME), der(UTF8_STRING, Buffer.from(commonName)));
  const info = der(
    SEQUENCE,
    der(INTEGER, Buffer.of(0)),
    der(SEQUENCE, der(SET, name)),
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    der(ATTRIBUTES),
  );
  const algorithm = der(SEQUENCE, der(OBJECT_ID, ECDSA_WITH_SHA256));
  const signature = der(BIT_STRING, Buffer.of(0), sign('sha256', info, privateKey));
  return pem(der(SEQUENCE, info, algorithm, signature));
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const short = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...short), content]);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(new RegExp(`.{1,${PEM_LINE}}`, 'g')) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join('\n');
}
