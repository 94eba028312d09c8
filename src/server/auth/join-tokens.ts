import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { formatJoinToken } from '../../api/join.ts';
import type { Store, StoredValue } from '../store/store.ts';
import { hashSecret, matchesHash, newSecret } from './secret.ts';

const PREFIX = 'join-tokens/';

const TokenRecord = z.object({ hash: z.string(), usesLeft: z.int().min(0), expiresAtMs: z.number() });
type TokenRecord = z.infer<typeof TokenRecord>;

/** Join tokens, in the Store at `join-tokens/<id>`: the hash of the secret, the uses left and the end. */
export class JoinTokens {
  readonly #store: Store;
  readonly #caSha256: string;

  constructor(store: Store, caSha256: string) {
    this.#store = store;
    this.#caSha256 = caSha256;
  }

  async create(options: {
    uses: number;
    ttlSeconds: number;
  }): Promise<{ token: string; expiresAt: string; uses: number }> {
    await this.#dropExpired();
    const id = randomBytes(4).toString('hex');
    const secret = newSecret();
    const expiresAtMs = Date.now() + options.ttlSeconds * 1000;
    const record: TokenRecord = { hash: hashSecret(secret), usesLeft: options.uses, expiresAtMs };
    const written = await this.#store.compareAndSwap(PREFIX + id, 0, JSON.stringify(record));
    if (written === null) return this.create(options);
    return {
      token: formatJoinToken({ caSha256: this.#caSha256, id, secret }),
      expiresAt: new Date(expiresAtMs).toISOString(),
      uses: options.uses,
    };
  }

  /** Whether the token is a true one, whatever its uses. @throws CargoError JOIN_REFUSED */
  async verify(id: string, secret: string): Promise<void> {
    await this.#find(id, secret);
  }

  /** Uses the token once. @throws CargoError JOIN_REFUSED when it is unknown, expired or used up */
  async use(id: string, secret: string): Promise<void> {
    for (;;) {
      const { record, stored } = await this.#find(id, secret);
      if (record.usesLeft < 1) throw refused();
      const after: TokenRecord = { ...record, usesLeft: record.usesLeft - 1 };
      const written = await this.#store.compareAndSwap(stored.key, stored.modRevision, JSON.stringify(after));
      if (written !== null) return;
    }
  }

  /** Nobody may join with it any more. */
  async drop(id: string): Promise<void> {
    await this.#store.delete(PREFIX + id);
  }

  async #find(id: string, secret: string): Promise<{ record: TokenRecord; stored: StoredValue }> {
    const stored = await this.#store.get(PREFIX + id);
    if (stored === null) throw refused();
    const record = TokenRecord.parse(JSON.parse(stored.value));
    if (!matchesHash(secret, record.hash) || record.expiresAtMs <= Date.now()) throw refused();
    return { record, stored };
  }

  async #dropExpired(): Promise<void> {
    for (const stored of await this.#store.list(PREFIX)) {
      const { expiresAtMs } = TokenRecord.parse(JSON.parse(stored.value));
      if (expiresAtMs <= Date.now()) await this.#store.compareAndSwap(stored.key, stored.modRevision, null);
    }
  }
}

function refused(): CargoError {
  return new CargoError(
    'JOIN_REFUSED',
    'the join token is unknown, expired or used up: make a new one with `cargoctl token create`',
  );
}
