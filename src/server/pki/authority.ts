import 'reflect-metadata';
import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { Pkcs10CertificateRequest } from '@peculiar/x509';
import { CargoError } from '../../api/cargo-error.ts';
import { readOrMake } from '../../files/durable-file.ts';
import type { DataDir } from '../data-dir.ts';
import { hostIdentity } from './identity.ts';
import { type AlternativeName, issueAuthority, issueLeaf } from './issue.ts';
import { loadKey } from './keys.ts';

const DAY_MS = 24 * 3_600_000;
const AUTHORITY_DAYS = 10 * 365;
/** Of the certificates of hosts and server. */
export const LIFE_MS = 365 * DAY_MS;
const COMMON_NAME = 'Cargo CA';

/** The CA of one Cargo installation: signs the certificates of its server and its agents, nothing else. */
export class Authority {
  readonly pem: string;
  readonly certificate: X509Certificate;
  readonly #key: KeyObject;
  readonly #lifeMs: number;

  /** `lifeMs`: of what it issues. */
  constructor(pem: string, key: KeyObject, lifeMs: number) {
    this.#lifeMs = lifeMs;
    this.pem = pem;
    this.certificate = new X509Certificate(pem);
    this.#key = key;
    if (!this.certificate.checkPrivateKey(key)) {
      throw new CargoError('INTERNAL', 'ca.pem and ca.key in the data directory do not belong together');
    }
  }

  /** SHA-256 of the certificate's DER, hex: what join tokens carry. */
  get sha256(): string {
    return createHash('sha256').update(this.certificate.raw).digest('hex');
  }

  /**
   * A certificate for a host's agent. The request is proof that the agent has the key; every word in the certificate is
   * the server's.
   * @throws CargoError BAD_REQUEST
   */
  async issueHost(hostId: string, csr: string): Promise<{ pem: string; keySha256: string }> {
    const publicKey = await requestedKey(csr);
    const pem = await this.issue({
      commonName: hostId,
      publicKey,
      names: [{ type: 'url', value: hostIdentity(hostId) }],
    });
    return { pem, keySha256: keySha256(publicKey) };
  }

  async issue(request: {
    commonName: string;
    publicKey: KeyObject;
    names: readonly AlternativeName[];
  }): Promise<string> {
    const end = Math.min(Date.now() + this.#lifeMs, this.certificate.validToDate.getTime());
    return issueLeaf({ ...request, notAfter: new Date(end) }, { commonName: COMMON_NAME, key: this.#key });
  }
}

/** The CA in the data directory, made at the first start. The key comes first, so that an end in between does no harm. */
export async function loadAuthority(dir: DataDir, lifeMs = LIFE_MS): Promise<Authority> {
  const key = await loadKey(dir.caKey);
  const notAfter = new Date(Date.now() + AUTHORITY_DAYS * DAY_MS);
  const pem = await readOrMake(dir.ca, () => issueAuthority({ commonName: COMMON_NAME, key }, notAfter));
  return new Authority(pem, key, lifeMs);
}

/** SHA-256 of a public key's SPKI, hex. */
export function keySha256(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** The P-256 key of a PKCS#10 request whose signature is right. */
export async function requestedKey(csr: string): Promise<KeyObject> {
  try {
    const request = new Pkcs10CertificateRequest(csr);
    const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' });
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1' && (await request.verify())) return key;
  } catch (error) {
    throw new CargoError('BAD_REQUEST', 'csr: this is no certificate request (PKCS#10, PEM)', { cause: error });
  }
  throw new CargoError('BAD_REQUEST', 'csr: the request must have a P-256 key and be signed with it');
}
