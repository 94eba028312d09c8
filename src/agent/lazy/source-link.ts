import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { BodyMemory } from './body-memory.ts';
import { decodeEntries, type ListedFile } from './entry.ts';
import { ANSWER_MAX_BYTES, verifiedBytes } from './range-hash.ts';
import { connectForRanges, type SourceAddress } from './source-address.ts';
import {
  encodeListRequest,
  encodeRequest,
  type Frame,
  FrameChannel,
  type Kind,
  kinds,
  parseFailure,
  type RangeConnection,
} from './wire.ts';

const SILENCE_LIMIT_MS = 20_000;
const PING_MS = 5_000;
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;
/** As many large answers as are asked for at once. */
const ANSWERS_KEPT = 4;

type Request = {
  kind: Kind;
  /** Made anew each time it is sent. */
  body: () => Buffer;
  resolve: (bytes: Buffer) => void;
  reject: (error: unknown) => void;
  onEntries?: (entries: Iterable<ListedFile>) => void;
};

/** Not connected before it is asked to, or has something to ask. */
export function linkTo(source: SourceAddress): SourceLink {
  return new SourceLink(() => connectForRanges(source));
}

/**
 * Requests to the source over one connection, which is made anew whenever it is lost: what was not answered by then is
 * asked again, for as long as it takes.
 */
export class SourceLink {
  readonly #connect: () => Promise<RangeConnection>;
  readonly #requests = new Map<number, Request>();
  readonly #memory = new BodyMemory(ANSWER_MAX_BYTES, ANSWERS_KEPT);
  /** `isHeard`: the source speaks first; until then nothing is sent. */
  #channel: { socket: Duplex; frames: FrameChannel; isHeard: boolean } | null = null;
  #isConnecting = false;
  #isClosed = false;
  #lastId = 0;
  #heardAt = 0;
  #pauseMs = 0;
  #pulse: NodeJS.Timeout | null = null;
  /** Since when the source does not answer (Date.now()), and why; null while it does. */
  away: { since: number; reason: string } | null = null;

  constructor(connect: () => Promise<RangeConnection>) {
    this.#connect = connect;
  }

  /**
   * The bytes are the caller's, who gives them back once they are of no more use (`giveBack`).
   * @throws CargoError SOURCE_FILE_CHANGED and whatever else the source says of this request
   */
  async read(file: number, offset: number, length: number): Promise<Buffer> {
    const answer = await this.#ask({ kind: kinds.read, body: () => encodeRequest({ file, offset, length }) });
    const bytes = verifiedBytes(answer, length);
    if (bytes !== null) return bytes;
    throw new CargoError('CHECKSUM_MISMATCH', 'What the source sent arrived damaged; nothing of it was written.');
  }

  giveBack(bytes: Buffer): void {
    this.#memory.give(bytes);
  }

  /**
   * Calls back for every file that is left at the source, once, in their order; after a lost connection it goes on where it was.
   * @throws whatever `onEntry` throws; CargoError of the source
   */
  async list(onEntry: (entry: ListedFile) => void): Promise<void> {
    let next = 0;
    const onEntries = (entries: Iterable<ListedFile>): void => {
      for (const entry of entries) {
        if (entry.file !== next) throw new CargoError('PROTOCOL_ERROR', 'The source lists its files out of turn.');
        onEntry(entry);
        next += 1;
      }
    };
    await this.#ask({ kind: kinds.list, body: () => encodeListRequest(next), onEntries });
  }

  /** Begins to connect before there is anything to ask. */
  connect(): void {
    if (this.#channel === null) void this.#reconnect();
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
    if (this.#channel === null) void this.#reconnect();
    else if (this.#channel.isHeard) this.#send(this.#channel.frames, id, request);
    return promise;
  }

  #send(frames: FrameChannel, id: number, { kind, body }: Pick<Request, 'kind' | 'body'>): void {
    frames.send(kind, id, body());
  }

  /** At once when the last connection was of use; else after a pause, which grows: a source that refuses is not pressed. */
  async #reconnect(): Promise<void> {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    while (!this.#isClosed && this.#channel === null) {
      if (this.#pauseMs > 0) await delay(this.#pauseMs);
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, this.#pauseMs * 2));
      try {
        this.#use(await this.#connect());
      } catch (error) {
        this.away = { since: this.away?.since ?? Date.now(), reason: CargoError.from(error).message };
      }
    }
    this.#isConnecting = false;
  }

  #use(connection: RangeConnection): void {
    const { socket } = connection;
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    const channel = { socket, frames: new FrameChannel(connection, { memory: this.#memory }), isHeard: false };
    this.#channel = channel;
    this.#heardAt = performance.now();
    socket.on('data', (piece: Buffer) => {
      if (channel !== this.#channel) return;
      this.#heardAt = performance.now();
      this.#pauseMs = 0;
      this.away = null;
      try {
        for (const frame of channel.frames.receive(piece)) {
          if (!channel.isHeard) this.#begin(channel);
          this.#receive(frame);
        }
      } catch (error) {
        if (channel === this.#channel) this.#drop(CargoError.from(error).message);
      }
    });
    const lost = (reason: string): void => {
      if (channel === this.#channel) this.#drop(reason);
    };
    socket.on('error', (error) => lost(error.message));
    for (const end of ['end', 'close']) socket.on(end, () => lost('it closed the connection'));
    socket.resume();
    this.#pulse = setInterval(() => this.#beat(channel), PING_MS);
  }

  #begin(channel: { frames: FrameChannel; isHeard: boolean }): void {
    channel.isHeard = true;
    for (const [id, request] of this.#requests) this.#send(channel.frames, id, request);
  }

  #beat({ frames, isHeard }: { frames: FrameChannel; isHeard: boolean }): void {
    if (performance.now() - this.#heardAt > SILENCE_LIMIT_MS) this.#drop('it does not answer any more');
    else if (isHeard) frames.send(kinds.ping, 0);
  }

  #drop(reason: string): void {
    if (this.#pulse !== null) clearInterval(this.#pulse);
    this.#pulse = null;
    const channel = this.#channel;
    this.#channel = null;
    channel?.socket.destroy();
    channel?.frames[Symbol.dispose]();
    if (this.#isClosed) return;
    this.away = { since: this.away?.since ?? Date.now(), reason };
    void this.#reconnect();
  }

  #receive({ kind, id, body }: Frame): void {
    const request = this.#requests.get(id);
    if (kind === kinds.pong || request === undefined) return;
    if (kind === kinds.entries && request.onEntries !== undefined) {
      try {
        request.onEntries(decodeEntries(body));
      } catch (error) {
        // What becomes of this request: the connection is as good as it was.
        this.#requests.delete(id);
        request.reject(error);
      }
      return;
    }
    this.#requests.delete(id);
    if (kind === kinds.failed) request.reject(parseFailure(body));
    else if (kind === kinds.data || kind === kinds.end) request.resolve(body);
    else request.reject(new CargoError('PROTOCOL_ERROR', 'The source sent a frame out of turn.'));
  }
}
