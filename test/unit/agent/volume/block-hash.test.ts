import { createCipheriv, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockHash } from '../../../../src/agent/volume/block-hash.ts';
import { BLOCK_BYTES } from '../../../../src/agent/volume/format.ts';

const key = BlockHash.newKey();
const hash = new BlockHash(key);

test('the hash of a block is its GMAC, as node:crypto computes it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
      const mac = createCipheriv('aes-256-gcm', key, Buffer.alloc(12));
      mac.setAAD(bytes).final();
      expect(hash.of(bytes)).toEqual(mac.getAuthTag());
    }),
  );
});

test('every changed bit, and every other length, gives another hash', () => {
  const block = randomBytes(BLOCK_BYTES);
  const whole = hash.of(block);
  for (let at = 0; at < BLOCK_BYTES; at += 997) {
    const changed = Buffer.from(block);
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
    expect(hash.of(changed)).not.toEqual(whole);
    expect(hash.of(block.subarray(0, at))).not.toEqual(whole);
  }
  expect(hash.of(Buffer.alloc(15))).not.toEqual(hash.of(Buffer.alloc(16)));
  expect(hash.ofZeros(BLOCK_BYTES)).toEqual(hash.of(Buffer.alloc(BLOCK_BYTES)));
});

test('another key gives other hashes', () => {
  using other = new BlockHash(BlockHash.newKey());
  expect(other.of(Buffer.alloc(8))).not.toEqual(hash.of(Buffer.alloc(8)));
});
