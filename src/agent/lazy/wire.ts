import type { Duplex } from 'node:stream';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import { SEAL_BYTES, Sealer, type SealKeys, Unsealer } from '../volume/sealing.ts';
import type { BodyMemory } from './body-memory.ts';

/** What target and source of a lazy volume say to each other over a connection that is authenticated already. */
export const LAZY_PROTOCOL = 'cargo-lazy/1';

/** A frame: u32 length of the body, u8 kind, u32 id of the request, body, and where frames are sealed 16 bytes of seal. */
export const kinds = {
  /** Target: u32, the placeholders from this number on, please. Source: `entries` frames, then `end`. */
  list: 1,
  entries: 2,
  end: 3,
  /** Target: u32 file, u64 offset, u32 length (`RangeRequest`). Source: `data`: a hash of 16 bytes, and the bytes. */
  read: 4,
  data: 5,
  /** Source: what went wrong with this request, as JSON. */
  failed: 6,
  ping: 7,
  pong: 8,
} as const;
export type Kind = (typeof kinds)[keyof typeof kinds];

/** `length` bytes at `offset` of a file, by its number in the list; at most READ_MAX_BYTES. */
export type RangeRequest = { file: number; offset: number; length: number };

export type Frame = { kind: number; id: number; body: Buffer };

const HEAD_BYTES = 9;
const REQUEST_BYTES = 16;
const LIST_REQUEST_BYTES = 4;
const nothing = Buffer.alloc(0);
const freshMemory = { take: (length: number): Buffer => Buffer.allocUnsafe(length) };
/** Above what either side ever sends; a peer that announces more is not one of ours. */
const FRAME_MAX_BYTES = 8 * 1024 * 1024;
/** Of a frame's body that the source receives. */
export const REQUEST_MAX_BYTES = 1024;
export const READ_MAX_BYTES = 1024 * 1024;

/** Connected to a peer who has proved who it is; frames are sealed where the connection itself is not encrypted. */
export type RangeConnection = { socket: Duplex; keys: SealKeys | null };

/** One end of a connection, frame by frame. Dispose of it when the connection is over. */
export class FrameChannel implements Disposable {
  readonly #socket: Duplex;
  readonly #sealer: Sealer | null;
  readonly #reader: FrameReader;
  readonly #unsealer: Unsealer | null;

  /** `memory`: where the bodies of frames that arrive are put; `longest`: of those, bytes. */
  constructor(
    { socket, keys }: RangeConnection,
    { memory = freshMemory, longest = FRAME_MAX_BYTES }: { memory?: Pick<BodyMemory, 'take'>; longest?: number } = {},
  ) {
    this.#socket = socket;
    this.#sealer = keys === null ? null : new Sealer(keys.send);
    this.#unsealer = keys === null ? null : new Unsealer(keys.receive);
    this.#reader = new FrameReader(this.#unsealer, memory, longest);
  }

  /**
   * Writes one frame; what is in `body` may be changed by that, and is the socket's until `onWritten`, which is called in
   * any case. False when the socket wants a pause.
   */
  send(kind: Kind, id: number, body: Uint8Array = nothing, onWritten: () => void = () => {}): boolean {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32LE(body.length, 0);
    head.writeUInt8(kind, 4);
    head.writeUInt32LE(id, 5);
    const seal = this.#sealer === null ? nothing : this.#sealer.seal(head, [body]);
    const parts = [body, seal].filter(({ length }) => length > 0);
    this.#socket.cork();
    let isWanted = this.#socket.write(head, parts.length === 0 ? onWritten : undefined);
    for (const part of parts) isWanted = this.#socket.write(part, part === parts.at(-1) ? onWritten : undefined);
    this.#socket.uncork();
    return isWanted;
  }

  /**
   * The frames that a piece completes, to be gone through before the piece's memory, which is the socket's, is used again.
   * @throws CargoError PROTOCOL_ERROR; PEER_UNREACHABLE where somebody on the way has changed something
   */
  receive(piece: Buffer): Iterable<Frame> {
    return this.#reader.push(piece);
  }

  [Symbol.dispose](): void {
    this.#sealer?.[Symbol.dispose]();
    this.#unsealer?.[Symbol.dispose]();
  }
}

/** Puts frames together from the pieces in which a socket gives them: head, body and seal, each copied once. */
class FrameReader {
  readonly #unsealer: Unsealer | null;
  readonly #memory: Pick<BodyMemory, 'take'>;
  readonly #longest: number;
  readonly #head = new Part(Buffer.alloc(HEAD_BYTES));
  readonly #seal: Part;
  #body: Part | null = null;

  constructor(unsealer: Unsealer | null, memory: Pick<BodyMemory, 'take'>, longest: number) {
    this.#unsealer = unsealer;
    this.#memory = memory;
    this.#longest = longest;
    this.#seal = new Part(Buffer.alloc(unsealer === null ? 0 : SEAL_BYTES));
  }

  *push(piece: Buffer): Generator<Frame> {
    for (let rest = this.#head.fill(piece); this.#head.isFull; rest = this.#head.fill(rest)) {
      this.#body ??= this.#begin();
      rest = this.#seal.fill(this.#body.fill(rest));
      if (!(this.#body.isFull && this.#seal.isFull)) return;
      yield this.#end(this.#body.bytes);
    }
  }

  #begin(): Part {
    const length = this.#head.bytes.readUInt32LE(0);
    if (length > this.#longest) throw new CargoError('PROTOCOL_ERROR', 'A frame of the lazy link is too long.');
    return new Part(this.#memory.take(length));
  }

  #end(body: Buffer): Frame {
    const head = this.#head.bytes;
    if (this.#unsealer?.open(head, body, this.#seal.bytes) === false) {
      const message =
        'What arrived from the other agent is not what it sent: the connection is damaged, or tampered with.';
      throw new CargoError('PEER_UNREACHABLE', message);
    }
    const frame = { kind: head.readUInt8(4), id: head.readUInt32LE(5), body };
    for (const part of [this.#head, this.#seal]) part.empty();
    this.#body = null;
    return frame;
  }
}

/** So many bytes, as they come. */
class Part {
  readonly bytes: Buffer;
  #length = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get isFull(): boolean {
    return this.#length === this.bytes.length;
  }

  /** Takes what is missing. @returns what is left of the piece */
  fill(piece: Buffer): Buffer {
    const taken = Math.min(piece.length, this.bytes.length - this.#length);
    piece.copy(this.bytes, this.#length, 0, taken);
    this.#length += taken;
    return piece.subarray(taken);
  }

  empty(): void {
    this.#length = 0;
  }
}

export function encodeRequest({ file, offset, length }: RangeRequest): Buffer {
  const body = Buffer.allocUnsafe(REQUEST_BYTES);
  body.writeUInt32LE(file, 0);
  body.writeBigUInt64LE(BigInt(offset), 4);
  body.writeUInt32LE(length, 12);
  return body;
}

/** @throws CargoError PROTOCOL_ERROR */
export function parseRequest(body: Buffer): RangeRequest {
  if (body.length !== REQUEST_BYTES) throw new CargoError('PROTOCOL_ERROR', 'A request is unknown.');
  const request = {
    file: body.readUInt32LE(0),
    offset: Number(body.readBigUInt64LE(4)),
    length: body.readUInt32LE(12),
  };
  if (request.length <= READ_MAX_BYTES) return request;
  throw new CargoError('PROTOCOL_ERROR', 'More is asked for than fits one answer.');
}

export function encodeListRequest(from: number): Buffer {
  const body = Buffer.allocUnsafe(LIST_REQUEST_BYTES);
  body.writeUInt32LE(from, 0);
  return body;
}

/** The number of the file from which on they are listed. @throws CargoError PROTOCOL_ERROR */
export function parseListRequest(body: Buffer): number {
  if (body.length !== LIST_REQUEST_BYTES) throw new CargoError('PROTOCOL_ERROR', 'A request is unknown.');
  return body.readUInt32LE(0);
}

export function parseFailure(body: Buffer): CargoError {
  try {
    return CargoError.fromBody(ErrorBody.parse(JSON.parse(body.toString('utf8'))));
  } catch (cause) {
    return new CargoError('PROTOCOL_ERROR', 'The source sent an error that cannot be read.', { cause });
  }
}
