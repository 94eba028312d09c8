import { CargoError } from '../../api/cargo-error.ts';
import { decodeHeader, FRAME_MAX_BYTES, type FrameHeader, HEADER_BYTES } from './frames.ts';
import { SEAL_BYTES, type Unsealer } from './sealing.ts';

export type ReceivedFrame = { header: FrameHeader; buffer: ArrayBuffer };

/** A frame of any size, with its seal. */
const LARGE_BUFFER_BYTES = FRAME_MAX_BYTES + SEAL_BYTES;

/** Frames up to here get a buffer of their own size; larger ones a full-sized buffer that goes round and round. */
const SMALL_FRAME_BYTES = 16 * 1024;

/** Turns the socket's pieces into whole frames, each in one buffer that can be handed to the worker. */
export class FrameAssembler {
  readonly #unsealer: Unsealer | null;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  #current: { header: FrameHeader; buffer: ArrayBuffer; bytes: Uint8Array; filled: number; total: number } | null =
    null;
  readonly #spare: ArrayBuffer[] = [];

  /** `unsealer`: of a connection whose frames are sealed. */
  constructor(unsealer: Unsealer | null) {
    this.#unsealer = unsealer;
  }

  /**
   * Hands each frame that `piece` completes to `deliver`. Throws PROTOCOL_ERROR for what is no frame of ours, and
   * PEER_UNREACHABLE where somebody on the way has changed what the peer sent.
   */
  push(piece: Uint8Array, deliver: (frame: ReceivedFrame) => void): void {
    let at = 0;
    while (at < piece.length) {
      at += this.#current === null ? this.#fillHeader(piece, at) : this.#fillBody(piece, at);
      const current = this.#current;
      if (current !== null && current.filled === current.total) {
        this.#current = null;
        this.#unseal(current);
        deliver({ header: current.header, buffer: current.buffer });
      }
    }
  }

  /** Gives a buffer back for reuse. */
  recycle(buffer: ArrayBuffer): void {
    if (buffer.byteLength === LARGE_BUFFER_BYTES) this.#spare.push(buffer);
  }

  #fillHeader(piece: Uint8Array, at: number): number {
    const length = Math.min(HEADER_BYTES - this.#headerFilled, piece.length - at);
    this.#header.set(piece.subarray(at, at + length), this.#headerFilled);
    this.#headerFilled += length;
    if (this.#headerFilled === HEADER_BYTES) this.#begin();
    return length;
  }

  #begin(): void {
    const header = decodeHeader(this.#header);
    if (header === null) throw new CargoError('PROTOCOL_ERROR', 'The other agent sent something that is no frame.');
    const sealLength = this.#unsealer === null ? 0 : SEAL_BYTES;
    const total = header.opsLength + header.dataLength + sealLength;
    const isSmall = total <= SMALL_FRAME_BYTES;
    const buffer = isSmall ? new ArrayBuffer(total) : (this.#spare.pop() ?? new ArrayBuffer(LARGE_BUFFER_BYTES));
    this.#current = { header, buffer, bytes: new Uint8Array(buffer), filled: 0, total };
    this.#headerFilled = 0;
  }

  #unseal({ bytes, total }: { bytes: Uint8Array; total: number }): void {
    if (this.#unsealer === null) return;
    const length = total - SEAL_BYTES;
    if (this.#unsealer.open(this.#header, bytes.subarray(0, length), bytes.subarray(length, total))) return;
    const message =
      'What arrived from the other agent is not what it sent: the connection is damaged, or tampered with.';
    throw new CargoError('PEER_UNREACHABLE', message);
  }

  #fillBody(piece: Uint8Array, at: number): number {
    const current = this.#current;
    if (current === null) return 0;
    const length = Math.min(current.total - current.filled, piece.length - at);
    current.bytes.set(piece.subarray(at, at + length), current.filled);
    current.filled += length;
    return length;
  }
}
