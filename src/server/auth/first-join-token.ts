import { replaceDurably } from '../../files/durable-file.ts';
import type { DataDir } from '../data-dir.ts';
import type { Store } from '../store/store.ts';
import type { JoinTokens } from './join-tokens.ts';

const DONE = 'server/first-join-token';

/**
 * At the first start, a token for the first agent in the data directory: one use, 24 hours. The mark in the Store comes
 * last, so that a first start that was cut short ends with a token too.
 */
export async function makeFirstJoinToken(store: Store, tokens: JoinTokens, dir: DataDir): Promise<void> {
  if ((await store.get(DONE)) !== null) return;
  const { token, expiresAt } = await tokens.create({ uses: 1, ttlSeconds: 24 * 3600 });
  await replaceDurably(dir.joinToken, `${token}\n`);
  await store.put(DONE, JSON.stringify({ expiresAt }));
}
