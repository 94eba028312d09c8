import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { HASH_BYTES } from '../volume/format.ts';
import { decodeEntries, type ListedFile } from './entry.ts';
import { hashOf } from './range-hash.ts';
import { encodeFrame, type Frame, FrameReader, type Kind, kinds, parseFailure } from './wire.ts';

const SILENCE_LIMIT_MS = 20_000;
const PING_MS = 5_000;
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

type Request = {
  kind: Kind;
  body: Buffer;
  resolve: (bytes: Buffer) => void;
  reject: (error: unknown) => void;
  onEntries?: (entry: ListedFile) => void;
};

/**
 * Requests to the source over one connection, which is made anew whenever it is lost: what was not answered by then is
 * asked again, for as long as it takes.
 */
export class SourceLink {
  readonly #connect: () => Promise<Duplex>;
  readonly #requests = new Map<number, Request>();
  #socket: Duplex | null = null;
  #isConnecting = false;
  #isClosed = false;
  #lastId = 0;
  #heardAt = 0;
  #pulse: NodeJS.Timeout | null = null;
  /** Since when the source does not answer (Date.now()), and why; null while it does. */
  away: { since: number; reason: string } | null = null;

  constructor(connect: () => Promise<Duplex>) {
    this.#connect = connect;
  }

  /** @throws CargoError SOURCE_FILE_CHANGED and whatever else the source says of this request */
  async read(file: number, offset: number, length: number): Promise<Buffer> {
    const body = Buffer.allocUnsafe(16);
    body.writeUInt32LE(file, 0);
    body.writeBigUInt64LE(BigInt(offset), 4);
    body.writeUInt32LE(length, 12);
    const answer = await this.#ask({ kind: kinds.read, body });
    const bytes = answer.subarray(HASH_BYTES);
    if (bytes.length === length && hashOf(bytes).equals(answer.subarray(0, HASH_BYTES))) return bytes;
    throw new CargoError('CHECKSUM_MISMATCH', 'What the source sent arrived damaged; nothing of it was written.');
  }

  /** Calls back for every file that is left at the source. */
  async list(onEntries: (entry: ListedFile) => void): Promise<void> {
    await this.#ask({ kind: kinds.list, body: Buffer.alloc(0), onEntries });
  }

  close(): void {
    this.#isClosed = true;
    const gone = new CargoError('CANCELLED', 'The link to the source was closed.');
    for (const request of this.#requests.values()) request.reject(gone);
    this.#requests.clear();
    this.#drop('closed');
  }

  #ask(request: Omit<Request, 'resolve' | 'reject'>): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.#lastId = (this.#lastId + 1) % 0xffff_ffff;
    const id = this.#lastId;
    this.#requests.set(id, { ...request, resolve, reject });
    if (this.#socket === null) void this.#reconnect();
    else this.#send(this.#socket, id, request);
    return promise;
  }

  #send(socket: Duplex, id: number, { kind, body }: Pick<Request, 'kind' | 'body'>): void {
    socket.write(Buffer.concat([encodeFrame(kind, id, body.length), body]));
  }

  async #reconnect(): Promise<void> {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    for (let pause = SHORTEST_PAUSE_MS; !this.#isClosed; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
      try {
        this.#use(await this.#connect());
        break;
      } catch (error) {
        this.away = { since: this.away?.since ?? Date.now(), reason: CargoError.from(error).message };
        await delay(pause);
      }
    }
    this.#isConnecting = false;
  }

  #use(socket: Duplex): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    const reader = new FrameReader();
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.on('data', (piece: Buffer) => {
      if (socket !== this.#socket) return;
      this.#heardAt = performance.now();
      this.away = null;
      try {
        for (const frame of reader.push(piece)) this.#receive(frame);
      } catch (error) {
        this.#drop(CargoError.from(error).message);
      }
    });
    const lost = (reason: string): void => {
      if (socket === this.#socket) this.#drop(reason);
    };
    socket.on('error', (error) => lost(error.message)).on('close', () => lost('it closed the connection'));
    this.#pulse = setInterval(() => this.#beat(socket), PING_MS);
    this.#beat(socket);
    for (const [id, request] of this.#requests) this.#send(socket, id, request);
  }

  #beat(socket: Duplex): void {
    if (performance.now() - this.#heardAt > SILENCE_LIMIT_MS) this.#drop('it does not answer any more');
    else socket.write(encodeFrame(kinds.ping, 0, 0));
  }

  #drop(reason: string): void {
    if (this.#pulse !== null) clearInterval(this.#pulse);
    this.#pulse = null;
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
    if (this.#isClosed) return;
    this.away = { since: this.away?.since ?? Date.now(), reason };
    void this.#reconnect();
  }

  #receive({ kind, id, body }: Frame): void {
    const request = this.#requests.get(id);
    if (kind === kinds.pong || request === undefined) return;
    if (kind === kinds.entries && request.onEntries !== undefined) {
      for (const entry of decodeEntries(body)) request.onEntries(entry);
      return;
    }
    this.#requests.delete(id);
    if (kind === kinds.failed) request.reject(parseFailure(body));
    else if (kind === kinds.data || kind === kinds.end) request.resolve(body);
    else request.reject(new CargoError('PROTOCOL_ERROR', 'The source sent a frame out of turn.'));
  }
}
