import { z } from 'zod';
import type { Store } from './store.ts';

const TERM = 'server/term';
/** There from the restore until every migration that it concerns is held. */
const RESTORED = 'server/restored';

const Term = z.object({ term: z.int().min(0) });

/** Grows with every restore; agents obey the server with the highest. */
export async function serverTerm(store: Store): Promise<number> {
  const stored = await store.get(TERM);
  return stored === null ? 0 : Term.parse(JSON.parse(stored.value)).term;
}

/**
 * Marks a Store that was just restored. The time makes the term higher than that of any other restore before it. What the
 * time since the backup may have made untrue is dropped: join tokens that may be used up, and bases in bind mounts, whose
 * place doesn't tell whether the data there is still what was left.
 */
export async function markRestored(store: Store): Promise<void> {
  const term = Math.max((await serverTerm(store)) + 1, Date.now());
  await store.put(TERM, JSON.stringify({ term }));
  await store.put(RESTORED, JSON.stringify({ at: new Date().toISOString() }));
  for (const { key } of await store.list('join-tokens/')) await store.delete(key);
  for (const { key } of await store.list('bases/')) if (/^bases\/[^/]+\/bind\//.test(key)) await store.delete(key);
}

export async function wasRestored(store: Store): Promise<boolean> {
  return (await store.get(RESTORED)) !== null;
}

export async function forgetRestore(store: Store): Promise<void> {
  await store.delete(RESTORED);
}
