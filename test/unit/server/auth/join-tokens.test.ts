import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseJoinToken } from '../../../../src/api/join.ts';
import { JoinTokens } from '../../../../src/server/auth/join-tokens.ts';
import { SqliteStore } from '../../../../src/server/store/sqlite-store.ts';
import { temporaryDir } from '../temporary-dir.ts';

let dir: Awaited<ReturnType<typeof temporaryDir>>;
let store: SqliteStore;
let tokens: JoinTokens;
beforeEach(async () => {
  dir = await temporaryDir();
  store = new SqliteStore(join(dir.path, 'cargo.db'));
  tokens = new JoinTokens(store, 'f'.repeat(64));
});
afterEach(async () => {
  await store.close();
  await dir[Symbol.asyncDispose]();
});

test('however many use a token at once, it is used as often as it may be and not more', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 8 }), async (uses, users) => {
      const { id, secret } = parseJoinToken((await tokens.create({ uses, ttlSeconds: 60 })).token);
      const outcomes = await Promise.allSettled(Array.from({ length: users }, () => tokens.use(id, secret)));
      const used = outcomes.filter(({ status }) => status === 'fulfilled').length;
      expect(used).toBe(Math.min(uses, users));
    }),
    { numRuns: 20 },
  );
});

test('the Store has the hash of the secret and not the secret', async () => {
  const { id, secret } = parseJoinToken((await tokens.create({ uses: 1, ttlSeconds: 60 })).token);
  const stored = await store.get(`join-tokens/${id}`);
  expect(stored?.value).toMatch(/"hash":"[0-9a-f]{64}"/);
  expect(JSON.stringify(await store.list(''))).not.toContain(secret);
});

test('a token used up is still a true one, so that a lost answer can be asked for again', async () => {
  const { id, secret } = parseJoinToken((await tokens.create({ uses: 1, ttlSeconds: 60 })).token);
  await tokens.use(id, secret);
  await tokens.verify(id, secret);
  await expect(tokens.use(id, secret)).rejects.toMatchObject({ code: 'JOIN_REFUSED' });
  await expect(tokens.verify(id, `${secret}x`)).rejects.toMatchObject({ code: 'JOIN_REFUSED' });
});

test('expired tokens go when the next one is made', async () => {
  const expired = parseJoinToken((await tokens.create({ uses: 1, ttlSeconds: 0 })).token);
  await expect(tokens.use(expired.id, expired.secret)).rejects.toMatchObject({ code: 'JOIN_REFUSED' });
  const fresh = parseJoinToken((await tokens.create({ uses: 1, ttlSeconds: 60 })).token);
  expect((await store.list('join-tokens/')).map(({ key }) => key)).toEqual([`join-tokens/${fresh.id}`]);
});
