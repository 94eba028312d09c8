import { expect, test } from 'vitest';
import { EarlySync } from '../../../../src/agent/volume/early-sync.ts';
import { syncFilesystemInBackground } from '../../../../src/linux/sync.ts';

/** Syncs that end when the test says so. */
function heldSyncs() {
  const held: PromiseWithResolvers<void>[] = [];
  const sync = (): Promise<void> => {
    const one = Promise.withResolvers<void>();
    held.push(one);
    return one.promise;
  };
  return { held, sync };
}

test('one sync at a time, and another when that has ended', async () => {
  const { held, sync } = heldSyncs();
  const early = new EarlySync('/', sync);
  early.begin();
  early.begin();
  expect(held).toHaveLength(1);
  held[0]?.resolve();
  await early.ended();
  early.begin();
  expect(held).toHaveLength(2);
});

test('a sync that fails is no failure of the round, and the next one is tried', async () => {
  const { held, sync } = heldSyncs();
  const early = new EarlySync('/', sync);
  early.begin();
  held[0]?.reject(new Error('the disk is broken'));
  await early.ended();
  early.begin();
  expect(held).toHaveLength(2);
});

test('a directory that is gone is no failure either', async () => {
  const early = new EarlySync('/nowhere/at/all');
  early.begin();
  await early.ended();
});

test('the kernel syncs a real file system', async () => {
  const outcomes: string[] = [];
  const early = new EarlySync('/proc', async (fd) => {
    await syncFilesystemInBackground(fd);
    outcomes.push('synced');
  });
  early.begin();
  await early.ended();
  expect(outcomes).toEqual(['synced']);
});
