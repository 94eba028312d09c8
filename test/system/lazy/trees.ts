import { createHash } from 'node:crypto';

/** Bytes that look random, the same for the same seed. */
export function bytes(seed: number, length: number): Buffer {
  const result = Buffer.alloc(length);
  for (let at = 0, block = 0; at < length; at += 32, block += 1) {
    createHash('sha256').update(`${seed}/${block}`).digest().copy(result, at);
  }
  return result;
}
