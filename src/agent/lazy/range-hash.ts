import { BlockHash } from '../volume/block-hash.ts';
import { HASH_BYTES } from '../volume/format.ts';
import { READ_MAX_BYTES } from './wire.ts';

/**
 * Everybody knows this key: the hash is against accidents between the source's disk and the target's, in either agent's memory
 * above all. Against design the connection vouches for what it brings, by TLS or by the seals of its frames.
 */
const hash = new BlockHash(Buffer.from('cargo-lazy: hash of ranges, v1. '));

/** Of a range's bytes: taken at the source, compared at the target. */
export function hashOf(bytes: Uint8Array): Buffer {
  return hash.of(bytes);
}

/** An answer to a request: the hash of the range's bytes, and they. */
export const ANSWER_MAX_BYTES = HASH_BYTES + READ_MAX_BYTES;

/** The bytes of an answer, or null if they are not `length` bytes of that hash. */
export function verifiedBytes(answer: Buffer, length: number): Buffer | null {
  const bytes = answer.subarray(HASH_BYTES);
  return bytes.length === length && hashOf(bytes).equals(answer.subarray(0, HASH_BYTES)) ? bytes : null;
}
