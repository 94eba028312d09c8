import { hash } from 'node:crypto';
import { HASH_BYTES } from '../volume/format.ts';
import { READ_MAX_BYTES } from './wire.ts';

/** SHA-256 of a range's bytes, shortened: taken at the source, compared at the target. */
export function hashOf(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer').subarray(0, HASH_BYTES);
}

/** An answer to a request: the hash of the range's bytes, and they. */
export const ANSWER_MAX_BYTES = HASH_BYTES + READ_MAX_BYTES;

/** The bytes of an answer, or null if they are not `length` bytes of that hash. */
export function verifiedBytes(answer: Buffer, length: number): Buffer | null {
  const bytes = answer.subarray(HASH_BYTES);
  return bytes.length === length && hashOf(bytes).equals(answer.subarray(0, HASH_BYTES)) ? bytes : null;
}
