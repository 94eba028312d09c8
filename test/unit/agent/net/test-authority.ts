import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Credentials } from '../../../../src/agent/net/identity.ts';
import { issueAuthority, issueLeaf } from '../../../../src/server/pki/issue.ts';

const DAY_MS = 24 * 3_600_000;

/** A CA like the server's, for tests. */
export class TestAuthority {
  readonly pem: string;
  readonly #key: KeyObject;

  private constructor(pem: string, key: KeyObject) {
    this.pem = pem;
    this.#key = key;
  }

  static async make(): Promise<TestAuthority> {
    const key = newKey();
    return new TestAuthority(await issueAuthority({ commonName: 'Cargo CA', key }, in90Days()), key);
  }

  /** A certificate whose alternative names are these URIs. */
  async issue(publicKey: KeyObject, uris: readonly string[], notAfter = in90Days()): Promise<string> {
    const names = uris.map((value) => ({ type: 'url', value }) as const);
    const issuer = { commonName: 'Cargo CA', key: this.#key };
    return issueLeaf({ commonName: 'test', publicKey, names, notAfter }, issuer);
  }

  async credentials(...uris: string[]): Promise<Credentials> {
    const key = newKey();
    const certificate = await this.issue(createPublicKey(key), uris);
    return { key: key.export({ type: 'pkcs8', format: 'pem' }).toString(), certificate, ca: this.pem };
  }
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

function in90Days(): Date {
  return new Date(Date.now() + 90 * DAY_MS);
}
