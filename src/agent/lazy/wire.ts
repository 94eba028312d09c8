import type { Duplex } from 'node:stream';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import { SEAL_BYTES, Sealer, type SealKeys, Unsealer } from '../volume/sealing.ts';

/** What target and source of a lazy volume say to each other over a connection that is authenticated already. */
export const LAZY_PROTOCOL = 'cargo-lazy/1';

/** A frame: u32 length of the body, u8 kind, u32 id of the request, body, and where frames are sealed 16 bytes of seal. */
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

/** Connected to a peer who has proved who it is; frames are sealed where the connection itself is not encrypted. */
export type RangeConnection = { socket: Duplex; keys: SealKeys | null };

/** One end of a connection, frame by frame. Dispose of it when the connection is over. */
export class FrameChannel implements Disposable {
  readonly #socket: Duplex;
  readonly #sealer: Sealer | null;
  readonly #reader: FrameReader;
  readonly #unsealer: Unsealer | null;

  constructor({ socket, keys }: RangeConnection) {
    this.#socket = socket;
    this.#sealer = keys === null ? null : new Sealer(keys.send);
    this.#unsealer = keys === null ? null : new Unsealer(keys.receive);
    this.#reader = new FrameReader(this.#unsealer);
  }

  /** Writes one frame; what is in `body` may be changed by that. False when the socket wants a pause. */
  send(kind: Kind, id: number, ...body: Uint8Array[]): boolean {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32LE(
      body.reduce((sum, { length }) => sum + length, 0),
      0,
    );
    head.writeUInt8(kind, 4);
    head.writeUInt32LE(id, 5);
    const seal = this.#sealer === null ? [] : [this.#sealer.seal(head, body)];
    const parts = [head, ...body.filter(({ length }) => length > 0), ...seal];
    let isWanted = true;
    this.#socket.cork();
    for (const part of parts) isWanted = this.#socket.write(part);
    this.#socket.uncork();
    return isWanted;
  }

  /**
   * The frames that a piece completes. The piece's memory is the socket's, which uses it again.
   * @throws CargoError PROTOCOL_ERROR; PEER_UNREACHABLE where somebody on the way has changed something
   */
  receive(piece: Buffer): Iterable<Frame> {
    return this.#reader.push(this.#unsealer === null ? piece : Buffer.from(piece));
  }

  [Symbol.dispose](): void {
    this.#sealer?.[Symbol.dispose]();
    this.#unsealer?.[Symbol.dispose]();
  }
}

/** Puts frames together from the pieces in which a socket gives them. */
class FrameReader {
  readonly #unsealer: Unsealer | null;
  readonly #sealBytes: number;
  readonly #pieces: Buffer[] = [];
  #length = 0;

  constructor(unsealer: Unsealer | null) {
    this.#unsealer = unsealer;
    this.#sealBytes = unsealer === null ? 0 : SEAL_BYTES;
  }

  *push(piece: Buffer): Generator<Frame> {
    this.#pieces.push(piece);
    this.#length += piece.length;
    while (this.#length >= HEAD_BYTES) {
      const bodyLength = this.#peekHead().readUInt32LE(0);
      if (bodyLength > FRAME_MAX_BYTES) throw new CargoError('PROTOCOL_ERROR', 'A frame of the lazy link is too long.');
      const length = HEAD_BYTES + bodyLength + this.#sealBytes;
      if (this.#length < length) return;
      const whole = this.#take(length);
      const body = whole.subarray(HEAD_BYTES, HEAD_BYTES + bodyLength);
      this.#open(whole.subarray(0, HEAD_BYTES), body, whole.subarray(HEAD_BYTES + bodyLength));
      yield { kind: whole.readUInt8(4), id: whole.readUInt32LE(5), body };
    }
  }

  #open(head: Buffer, body: Buffer, seal: Buffer): void {
    if (this.#unsealer === null || this.#unsealer.open(head, body, seal)) return;
    const message =
      'What arrived from the other agent is not what it sent: the connection is damaged, or tampered with.';
    throw new CargoError('PEER_UNREACHABLE', message);
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
