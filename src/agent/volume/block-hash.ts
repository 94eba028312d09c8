import { randomBytes } from 'node:crypto';
import { AesGcm, KEY_BYTES, NONCE_BYTES } from '../../linux/aes-gcm.ts';
import { BLOCK_BYTES, HASH_BYTES } from './format.ts';

/** With a key that is used for nothing else, one fixed nonce makes GMAC a keyed hash. */
const nonce = new Uint8Array(NONCE_BYTES);
const zeros = Buffer.alloc(BLOCK_BYTES);

/**
 * Hash of a block's bytes under a secret key: GMAC, which is GHASH plus a constant. Two different blocks, chosen by
 * whoever knows neither key nor hashes, have the same one with a probability of at most 4098 ÷ 2^128 (NIST SP 800-38D;
 * McGrew and Viega 2004): better than a shortened SHA-256 against accident, as good against design, and 15 times as
 * fast. Each mount of a migration has a key of its own, which both agents keep with the manifests and show nobody.
 */
export class BlockHash implements Disposable {
  readonly #mac: AesGcm;
  readonly #zeros: Buffer;

  constructor(key: Uint8Array) {
    this.#mac = new AesGcm(key, 'seal');
    this.#zeros = this.of(zeros);
  }

  static newKey(): Buffer {
    return randomBytes(KEY_BYTES);
  }

  of(bytes: Uint8Array): Buffer {
    const hash = Buffer.allocUnsafe(HASH_BYTES);
    this.#mac.seal(nonce, bytes, [], hash);
    return hash;
  }

  /** Of so many zeros, at most a block of them. */
  ofZeros(length: number): Buffer {
    return length === BLOCK_BYTES ? this.#zeros : this.of(zeros.subarray(0, length));
  }

  [Symbol.dispose](): void {
    this.#mac[Symbol.dispose]();
  }
}
