import type { Duplex } from 'node:stream';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';

/** What target and source of a lazy volume say to each other over a connection that is authenticated already. */
export const LAZY_PROTOCOL = 'cargo-lazy/1';

/** A frame: u32 length of the body, u8 kind, u32 id of the request, body. */
export const kinds = {
  /** Target: the placeholders, please. Source: `entries` frames, then `end`. */
  list: 1,
  entries: 2,
  end: 3,
  /** Target: u32 file, u64 offset, u32 length. Source: `data`: a hash of 16 bytes, and the bytes. */
  read: 4,
  data: 5,
  /** Source: what went wrong with this request, as JSON. */
  failed: 6,
  ping: 7,
  pong: 8,
} as const;
export type Kind = (typeof kinds)[keyof typeof kinds];

export type Frame = { kind: number; id: number; body: Buffer };

const HEAD_BYTES = 9;
/** Above what either side ever sends; a peer that announces more is not one of ours. */
const FRAME_MAX_BYTES = 8 * 1024 * 1024;
export const READ_MAX_BYTES = 1024 * 1024;

export function encodeFrame(kind: Kind, id: number, bodyLength: number): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUInt32LE(bodyLength, 0);
  head.writeUInt8(kind, 4);
  head.writeUInt32LE(id, 5);
  return head;
}

/** Writes one frame; false when the socket wants a pause. */
export function sendFrame(socket: Duplex, kind: Kind, id: number, ...body: Uint8Array[]): boolean {
  const length = body.reduce((sum, { length }) => sum + length, 0);
  socket.cork();
  let isWanted = socket.write(encodeFrame(kind, id, length));
  for (const part of body) isWanted = socket.write(part);
  socket.uncork();
  return isWanted;
}

/** Puts frames together from the pieces in which a socket gives them. */
export class FrameReader {
  readonly #pieces: Buffer[] = [];
  #length = 0;

  /** @throws CargoError PROTOCOL_ERROR */
  *push(piece: Buffer): Generator<Frame> {
    this.#pieces.push(piece);
    this.#length += piece.length;
    while (this.#length >= HEAD_BYTES) {
      const head = this.#peekHead();
      const bodyLength = head.readUInt32LE(0);
      if (bodyLength > FRAME_MAX_BYTES) throw new CargoError('PROTOCOL_ERROR', 'A frame of the lazy link is too long.');
      if (this.#length < HEAD_BYTES + bodyLength) return;
      const whole = this.#take(HEAD_BYTES + bodyLength);
      yield { kind: whole.readUInt8(4), id: whole.readUInt32LE(5), body: whole.subarray(HEAD_BYTES) };
    }
  }

  #peekHead(): Buffer {
    const first = this.#pieces[0];
    if (first !== undefined && first.length >= HEAD_BYTES) return first;
    const all = Buffer.concat(this.#pieces);
    this.#pieces.splice(0, this.#pieces.length, all);
    return all;
  }

  #take(length: number): Buffer {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const piece = this.#pieces[0] ?? Buffer.alloc(0);
      if (piece.length <= left) {
        parts.push(piece);
        this.#pieces.shift();
        left -= piece.length;
      } else {
        parts.push(piece.subarray(0, left));
        this.#pieces[0] = piece.subarray(left);
        left = 0;
      }
    }
    this.#length -= length;
    const only = parts[0];
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  }
}

export function parseFailure(body: Buffer): CargoError {
  try {
    return CargoError.fromBody(ErrorBody.parse(JSON.parse(body.toString('utf8'))));
  } catch (cause) {
    return new CargoError('PROTOCOL_ERROR', 'The source sent an error that cannot be read.', { cause });
  }
}
