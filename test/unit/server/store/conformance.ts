import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Store, StoreEvent } from '../../../../src/server/store/store.ts';

export type StoreUnderTest = { store: Store; dispose(): Promise<void> };

const PATIENCE_MS = 5_000;

/** What every Store does, whatever it is made of. */
export function storeConformance(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} is a Store`, () => {
    let under: StoreUnderTest;
    let store: Store;
    beforeEach(async () => {
      under = await open();
      store = under.store;
    });
    afterEach(() => under.dispose());

    test('a key that was never written is absent', async () => {
      expect(await store.get('hosts/none')).toBeNull();
      expect(await store.delete('hosts/none')).toBe(false);
    });

    test('a write is read back with the revision of its creation and of its last change', async () => {
      const created = await store.put('a', '1');
      await store.put('b', '1');
      const changed = await store.put('a', '2');
      expect(changed).toBeGreaterThan(created);
      expect(await store.get('a')).toEqual({ key: 'a', value: '2', createRevision: created, modRevision: changed });
      expect(await store.revision()).toBe(changed);
    });

    test('a key that was deleted and written again is a new one', async () => {
      const first = await store.put('a', '1');
      expect(await store.delete('a')).toBe(true);
      const second = await store.put('a', '1');
      expect(await store.get('a')).toMatchObject({ createRevision: second, modRevision: second });
      expect(second).toBeGreaterThan(first + 1);
    });

    test('a list has the keys that begin with the prefix, in the order of their bytes', async () => {
      const keys = fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }).filter(isKey), {
        maxLength: 20,
      });
      const prefix = fc.string({ unit: 'binary', maxLength: 2 }).filter((text) => text === '' || isKey(text));
      await fc.assert(
        fc.asyncProperty(keys, prefix, async (written, wanted) => {
          for (const { key } of await store.list('')) await store.delete(key);
          const all = [...written, ...written.map((key) => wanted + key)];
          for (const key of all) await store.put(key, '{}');
          const expected = [...new Set(all)].filter((key) => key.startsWith(wanted)).sort(byBytes);
          expect((await store.list(wanted)).map(({ key }) => key)).toEqual(expected);
        }),
        { numRuns: 15 },
      );
    });

    test('compare-and-swap writes and deletes only what is as expected', async () => {
      const created = await store.compareAndSwap('a', 0, '1');
      expect(created).not.toBeNull();
      expect(await store.compareAndSwap('a', 0, '2')).toBeNull();
      expect(await store.compareAndSwap('a', (created ?? 0) + 1, '2')).toBeNull();
      const changed = await store.compareAndSwap('a', created ?? 0, '2');
      expect(await store.get('a')).toMatchObject({ value: '2', modRevision: changed });
      expect(await store.compareAndSwap('a', created ?? 0, null)).toBeNull();
      expect(await store.compareAndSwap('a', changed ?? 0, null)).not.toBeNull();
      expect(await store.get('a')).toBeNull();
    });

    test('counters kept by compare-and-swap lose no count, however their writers interleave', async () => {
      await fc.assert(
        fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 5 }), async (scheduler, writers) => {
          await store.put('counter', '0');
          const increment = async (): Promise<void> => {
            for (;;) {
              const before = await store.get('counter');
              await scheduler.schedule(Promise.resolve());
              const next = String(Number(before?.value) + 1);
              if ((await store.compareAndSwap('counter', before?.modRevision ?? 0, next)) !== null) return;
            }
          };
          const all = Promise.all(Array.from({ length: writers }, increment));
          await scheduler.waitFor(all);
          expect((await store.get('counter'))?.value).toBe(String(writers));
        }),
        { numRuns: 25 },
      );
    });

    test('a watch gives exactly the history of its prefix, from wherever it begins', async () => {
      const change = fc.record({ key: fc.constantFrom('w/a', 'w/b', 'x/a'), value: fc.option(fc.string()) });
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 25 }), fc.nat(100), async (changes, at) => {
          const start = await store.revision();
          const watchers = new AbortController();
          const history: StoreEvent[] = [];
          const early = collect(store.watch('w/', start, watchers.signal));
          for (const { key, value } of changes) await apply(store, history, key, value);
          const beginning = history[at % Math.max(1, history.length)]?.revision ?? start;
          const late = collect(store.watch('w/', beginning, watchers.signal));
          await apply(store, history, 'w/end', String(Math.random()));
          const expected = history.filter(({ key }) => key.startsWith('w/'));
          const rest = expected.filter(({ revision }) => revision > beginning);
          expect(await early.take(expected.length)).toEqual(expected);
          expect(await late.take(rest.length)).toEqual(rest);
          watchers.abort();
          await Promise.all([early.ended, late.ended]);
          expect(early.events).toHaveLength(expected.length);
        }),
        { numRuns: 15 },
      );
    });

    test('a watch ends when its signal aborts, and when the Store is closed', async () => {
      const stop = new AbortController();
      const aborted = collect(store.watch('', await store.revision(), stop.signal));
      const closed = collect(store.watch('', await store.revision(), new AbortController().signal));
      stop.abort();
      await aborted.ended;
      await store.close();
      await closed.ended;
    });

    test('keys go with their lease when it runs out, and their watchers hear of it', async () => {
      const events = collect(store.watch('leases/', await store.revision(), AbortSignal.timeout(PATIENCE_MS)));
      const lease = await store.grantLease(1_000);
      await store.put('leases/a', '1', { lease });
      await store.put('leases/b', '1');
      const seen = await events.take(3);
      expect(seen.map(({ type, key }) => `${type} ${key}`)).toEqual([
        'put leases/a',
        'put leases/b',
        'delete leases/a',
      ]);
      expect(await store.get('leases/a')).toBeNull();
      expect(await store.get('leases/b')).not.toBeNull();
      await expect(lease.keepAlive()).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(store.put('leases/a', '2', { lease })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    test('a revoked lease takes its keys along at once; a write without it sets a key free', async () => {
      const lease = await store.grantLease(60_000);
      await lease.keepAlive();
      await store.compareAndSwap('leases/a', 0, '1', { lease });
      await store.put('leases/b', '1', { lease });
      await store.put('leases/b', '2');
      await lease.revoke();
      expect((await store.list('leases/')).map(({ key }) => key)).toEqual(['leases/b']);
    });
  });
}

async function apply(store: Store, history: StoreEvent[], key: string, value: string | null): Promise<void> {
  if (value !== null) {
    const revision = await store.put(key, value);
    history.push({ type: 'put', key, value, revision });
  } else if (await store.delete(key)) {
    history.push({ type: 'delete', key, value: null, revision: await store.revision() });
  }
}

type Collected = { events: StoreEvent[]; take(count: number): Promise<StoreEvent[]>; ended: Promise<void> };

/** Reads a watch from now on; `take` waits until there are as many events. */
function collect(watch: AsyncIterable<StoreEvent>): Collected {
  const events: StoreEvent[] = [];
  let more = Promise.withResolvers<void>();
  let over = false;
  const ended = (async () => {
    for await (const event of watch) {
      events.push(event);
      more.resolve();
      more = Promise.withResolvers<void>();
    }
    over = true;
    more.resolve();
  })();
  return {
    events,
    ended,
    async take(count) {
      while (events.length < count && !over) await more.promise;
      return events.slice(0, count);
    },
  };
}

/** Text that UTF-8 can hold. */
function isKey(text: string): boolean {
  return text.isWellFormed() && text.length > 0;
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
