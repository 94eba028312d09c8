import { AesGcm, NONCE_BYTES, TAG_BYTES } from '../../linux/aes-gcm.ts';

/**
 * Frames on a connection that has no TLS (any more): each is one AES-256-GCM record, its header in the clear but proven
 * too. The keys are of this one connection and of one direction, and the nonce is the frame's number in it: so a frame
 * that is changed, left out, repeated, moved, sent back or taken from elsewhere does not open. That no frame follows
 * proves nothing: the end of a round is a frame.
 */
export type SealKeys = { readonly send: Uint8Array; readonly receive: Uint8Array };

export const SEAL_BYTES = TAG_BYTES;

/** Counts up: 8 bytes, the 4 before them zero. */
class FrameNumber {
  readonly bytes = Buffer.alloc(NONCE_BYTES);
  #next = 0n;

  step(): Buffer {
    this.bytes.writeBigUInt64BE(this.#next, NONCE_BYTES - 8);
    this.#next += 1n;
    return this.bytes;
  }
}

export class Sealer implements Disposable {
  readonly #cipher: AesGcm;
  readonly #number = new FrameNumber();

  constructor(key: Uint8Array) {
    this.#cipher = new AesGcm(key, 'seal');
  }

  /** Encrypts a frame's body where it stands, and returns the seal that follows it. In the order of sending. */
  seal(header: Uint8Array, body: readonly Uint8Array[]): Buffer {
    const seal = Buffer.alloc(SEAL_BYTES);
    this.#cipher.seal(this.#number.step(), header, body, seal);
    return seal;
  }

  [Symbol.dispose](): void {
    this.#cipher[Symbol.dispose]();
  }
}

export class Unsealer implements Disposable {
  readonly #cipher: AesGcm;
  readonly #number = new FrameNumber();

  constructor(key: Uint8Array) {
    this.#cipher = new AesGcm(key, 'open');
  }

  /** Decrypts a frame's body where it stands; false if it is not the next frame that the peer sealed. */
  open(header: Uint8Array, body: Uint8Array, seal: Uint8Array): boolean {
    return this.#cipher.open(this.#number.step(), header, [body], seal);
  }

  [Symbol.dispose](): void {
    this.#cipher[Symbol.dispose]();
  }
}
