import { createPrivateKey, generateKeyPairSync, randomUUID, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { HostId } from '../../api/host.ts';
import { readIfThere, replaceDurably } from '../../files/durable-file.ts';
import { certificateRequest } from './csr.ts';

const Pem = z.string().startsWith('-----BEGIN ');

/** `identity.json`: one file, so that key and certificate can't come apart. Holds the private key: mode 0600. */
const Identity = z.object({
  hostId: HostId,
  key: Pem,
  joined: z.object({ certificate: Pem, ca: Pem }).nullable().describe('null until the server took the host in.'),
});
type Identity = z.infer<typeof Identity>;

/** What the agent shows to others, and what it checks them against. PEM. */
export type Credentials = { key: string; certificate: string; ca: string };

/** Who this host is. The id and the key are made once; the certificate is replaced by joining and by renewal. */
export class HostIdentity {
  readonly #path: string;
  #identity: Identity;

  private constructor(path: string, identity: Identity) {
    this.#path = path;
    this.#identity = identity;
  }

  /** Reads the identity, or makes it at the very first start. @throws CargoError INTERNAL when the file is damaged */
  static async open(path: string): Promise<HostIdentity> {
    const text = await readIfThere(path);
    if (text !== null) return new HostIdentity(path, parseIdentity(path, text));
    const fresh = newIdentity();
    await replaceDurably(path, JSON.stringify(fresh));
    return new HostIdentity(path, fresh);
  }

  get hostId(): string {
    return this.#identity.hostId;
  }

  /** null while the host hasn't joined, or when its certificate ran out. */
  credentials(now = new Date()): Credentials | null {
    const { key, joined } = this.#identity;
    if (joined === null || new X509Certificate(joined.certificate).validToDate <= now) return null;
    return { key, ...joined };
  }

  /** Whether the host had joined, were its certificate valid or not. */
  get hasJoined(): boolean {
    return this.#identity.joined !== null;
  }

  /** For a host that was removed: its id never comes back, so it becomes another one. */
  async startAnew(): Promise<void> {
    const fresh = newIdentity();
    await replaceDurably(this.#path, JSON.stringify(fresh));
    this.#identity = fresh;
  }

  certificateRequest(): string {
    return certificateRequest(createPrivateKey(this.#identity.key), this.hostId);
  }

  /** @throws CargoError INTERNAL when the certificate isn't for this host's key */
  async join(joined: { certificate: string; ca: string }): Promise<Credentials> {
    const privateKey = createPrivateKey(this.#identity.key);
    if (!new X509Certificate(joined.certificate).checkPrivateKey(privateKey)) {
      throw new CargoError('INTERNAL', 'the server answered with a certificate for another key');
    }
    const { certificate, ca } = joined;
    const identity = { ...this.#identity, joined: { certificate, ca } };
    await replaceDurably(this.#path, JSON.stringify(identity));
    this.#identity = identity;
    return { key: identity.key, certificate, ca };
  }
}

/**
 * What an agent shows to others, read from its identity file by another process of the same host; never makes one.
 * @throws CargoError WRONG_PHASE when the host has not joined, or its certificate ran out
 */
export async function readCredentials(path: string): Promise<Credentials> {
  const text = await readIfThere(path);
  const credentials = text === null ? null : parseIdentity(path, text);
  const joined = credentials?.joined ?? null;
  if (credentials === null || joined === null || new X509Certificate(joined.certificate).validToDate <= new Date()) {
    throw new CargoError('WRONG_PHASE', `the agent whose identity is ${path} has no valid certificate`);
  }
  return { key: credentials.key, ...joined };
}

function newIdentity(): Identity {
  return { hostId: randomUUID(), key: makeKey(), joined: null };
}

function makeKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function parseIdentity(path: string, text: string): Identity {
  try {
    return Identity.parse(JSON.parse(text));
  } catch (error) {
    const advice = 'put the file back from a backup, or remove it and join again as a new host';
    throw new CargoError('INTERNAL', `${path} is damaged: ${advice}`, { cause: error });
  }
}
