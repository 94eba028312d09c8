import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { extract, pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { commonPrefix, layersToLeaveOut, withoutLayers } from '../../../../src/agent/image/layer-filter.ts';

const digest = (letter: string) => letter.repeat(64);
const layer = (letter: string) => `sha256:${digest(letter)}`;

test('only a chain from the base up counts as common', () => {
  expect(commonPrefix(['a', 'b', 'c'], ['a', 'b', 'x'])).toBe(2);
  expect(commonPrefix(['a', 'b'], ['a', 'b', 'c'])).toBe(2);
  expect(commonPrefix(['a', 'b'], ['b'])).toBe(0);
  expect(commonPrefix([], ['a'])).toBe(0);
});

test('a layer that comes again above the base travels', () => {
  const layers = [layer('a'), layer('e'), layer('b'), layer('e')];
  expect(layersToLeaveOut(layers, [layer('a'), layer('e')])).toEqual(new Set([layer('a')]));
});

function saved(entries: Record<string, string | number>): Readable {
  const tar = pack();
  for (const [name, content] of Object.entries(entries)) {
    tar.entry({ name }, typeof content === 'string' ? content : Buffer.alloc(content, name));
  }
  tar.finalize();
  return Readable.from(tar, { objectMode: false });
}

async function contents(tar: Buffer): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  const entries = extract();
  Readable.from([tar]).pipe(entries as unknown as NodeJS.WritableStream);
  for await (const entry of entries) {
    let size = 0;
    for await (const chunk of entry) size += Buffer.from(chunk as Uint8Array).length;
    found[entry.header.name] = size;
  }
  return found;
}

test('blobs of the layers named are left out and all else stays as it is', async () => {
  const tar = saved({
    [`blobs/sha256/${digest('a')}`]: 3_000_000,
    [`blobs/sha256/${digest('b')}`]: 2_000_001,
    'manifest.json': '[]',
  });
  const filtered = await buffer(withoutLayers(tar, new Set([layer('a')])));
  expect(await contents(filtered)).toEqual({ [`blobs/sha256/${digest('b')}`]: 2_000_001, 'manifest.json': 2 });
});

test('a tar that breaks off fails and is not taken for a whole one', async () => {
  const whole = await buffer(saved({ [`blobs/sha256/${digest('b')}`]: 2_000_000 }));
  const broken = Readable.from([whole.subarray(0, 1_000_000)], { objectMode: false });
  await expect(buffer(withoutLayers(broken, new Set()))).rejects.toThrow();
});

test('a source that fails makes the result fail', async () => {
  const failing = new Readable({ read: () => failing.destroy(new Error('lost the source')) });
  await expect(buffer(withoutLayers(failing, new Set()))).rejects.toThrow('lost the source');
});

test('who stops reading stops the source', async () => {
  const tar = saved({ big: 50_000_000 });
  withoutLayers(tar, new Set()).destroy();
  await expect.poll(() => tar.destroyed).toBe(true);
});

test.each([
  ['leaves out', new Set([layer('a')])],
  ['passes on', new Set<string>()],
])('a tar that breaks off within a layer that it %s ends as a failure of the result alone', async (_, leaveOut) => {
  const whole = await buffer(saved({ [`blobs/sha256/${digest('a')}`]: 2_000_000 }));
  const begun = new Readable({ read: () => undefined });
  const result = withoutLayers(begun, leaveOut);
  const failed = buffer(result);
  begun.push(whole.subarray(0, 1_000_000));
  await nextTurn();
  // As an image is ended whose serving is over.
  begun.destroy(new Error('served no more'));
  await expect(failed).rejects.toThrow('served no more');
});
