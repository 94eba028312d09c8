import { readOrMake } from '../../files/durable-file.ts';
import type { DataDir } from '../data-dir.ts';
import { hashSecret, matchesHash, newSecret } from './secret.ts';

export type ApiRole = 'admin' | 'reader';

/** The two bearer tokens of the REST API. The files hold them for the operator; the server keeps their hashes. */
export class ApiTokens {
  readonly #hashes: Record<ApiRole, string>;

  constructor(tokens: Record<ApiRole, string>) {
    this.#hashes = { admin: hashSecret(tokens.admin), reader: hashSecret(tokens.reader) };
  }

  roleOf(token: string): ApiRole | null {
    const admin = matchesHash(token, this.#hashes.admin);
    const reader = matchesHash(token, this.#hashes.reader);
    if (admin) return 'admin';
    return reader ? 'reader' : null;
  }
}

/** A token is replaced by removing its file and starting the server again. */
export async function loadApiTokens(dir: DataDir): Promise<ApiTokens> {
  const admin = await readOrMake(dir.adminToken, () => `${newSecret()}\n`);
  const reader = await readOrMake(dir.readToken, () => `${newSecret()}\n`);
  return new ApiTokens({ admin: admin.trim(), reader: reader.trim() });
}
