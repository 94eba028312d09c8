import { hash } from 'node:crypto';
import { HASH_BYTES } from '../volume/format.ts';

/** SHA-256 of a range's bytes, shortened: taken at the source, compared at the target. */
export function hashOf(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer').subarray(0, HASH_BYTES);
}
