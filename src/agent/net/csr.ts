import { createPublicKey, type KeyObject, sign } from 'node:crypto';

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const NO_ATTRIBUTES = Buffer.from([0xa0, 0x00]);
const COMMON_NAME = Buffer.from('550403', 'hex');
const ECDSA_WITH_SHA256 = Buffer.from('2a8648ce3d040302', 'hex');

/** A PKCS#10 request (RFC 2986), PEM, for an EC P-256 key; Node itself can read certificates but not ask for one. */
export function certificateRequest(privateKey: KeyObject, commonName: string): string {
  const name = der(SET, der(SEQUENCE, der(OBJECT_IDENTIFIER, COMMON_NAME), der(UTF8_STRING, Buffer.from(commonName))));
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const info = der(SEQUENCE, der(INTEGER, Buffer.from([0])), der(SEQUENCE, name), publicKey, NO_ATTRIBUTES);
  const signature = sign('sha256', info, privateKey);
  const request = der(
    SEQUENCE,
    info,
    der(SEQUENCE, der(OBJECT_IDENTIFIER, ECDSA_WITH_SHA256)),
    der(BIT_STRING, Buffer.from([0]), signature),
  );
  const lines = request.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), derLength(content.length), content]);
}

/** X.690 8.1.3: up to 127 in one byte; longer ones behind the number of bytes that they take. */
function derLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  if (length < 0x100) return Buffer.from([0x81, length]);
  return Buffer.from([0x82, length >> 8, length & 0xff]);
}
