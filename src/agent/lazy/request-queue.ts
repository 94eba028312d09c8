import type { Duplex } from 'node:stream';
import type { RangeSource } from './range-server.ts';
import { type Frame, type FrameChannel, kinds, parseRequest } from './wire.ts';

/** As many answers are read from the disk at once, whatever the target asks for. */
const READS_AHEAD = 4;
/** Above this many the socket is not read from. */
const MOST_WAITING = 64;

/** `answer`: of a request to read, null of all others that are no ping. */
export type Request = { frame: Frame; answer: Promise<Buffer> | null };

/**
 * The requests of one connection in the order in which they came. The disk is at the next ones while the first is sealed and
 * sent. What was read and is not taken goes back when this is disposed of.
 */
export class RequestQueue implements Disposable {
  readonly #socket: Duplex;
  readonly #source: RangeSource;
  readonly #waiting: Frame[] = [];
  /** Of the first ones that wait. */
  readonly #begun: (Promise<Buffer> | null)[] = [];
  #wake = Promise.withResolvers<void>();
  #inHand = 0;
  #isOver = false;
  #failure: unknown = null;

  /** From now on the socket's bytes are read here and nowhere else. `refuse` is asked before a ping is answered. */
  constructor(socket: Duplex, channel: FrameChannel, source: RangeSource, refuse: () => void) {
    this.#socket = socket;
    this.#source = source;
    const end = (): void => {
      this.#isOver = true;
      this.#wake.resolve();
    };
    // Of a socket that has left TLS come bytes by its `data` events and no other way.
    socket.on('data', (piece: Buffer) => {
      try {
        for (const frame of channel.receive(piece)) {
          if (frame.kind !== kinds.ping) {
            this.#waiting.push(frame);
            continue;
          }
          refuse();
          this.#pong(channel, frame.id);
        }
      } catch (error) {
        this.#failure ??= error;
      }
      if (this.#waiting.length > MOST_WAITING) socket.pause();
      this.#beginSome();
      this.#wake.resolve();
    });
    socket.on('end', end).on('close', end).on('error', end);
    socket.resume();
  }

  /** Until the connection is over. @throws what `refuse` and `FrameChannel.receive` do, after what came before that */
  async *[Symbol.asyncIterator](): AsyncGenerator<Request> {
    while (!this.#socket.destroyed) {
      const [frame] = this.#waiting;
      if (frame !== undefined) {
        this.#waiting.shift();
        // Of whoever takes it, from here on.
        const answer = this.#begun.shift() ?? null;
        this.#inHand = 1;
        yield { frame, answer };
        this.#inHand = 0;
        this.#beginSome();
        if (this.#waiting.length <= MOST_WAITING / 2) this.#socket.resume();
        continue;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.#isOver) return;
      this.#wake = Promise.withResolvers<void>();
      await this.#wake.promise;
    }
  }

  [Symbol.dispose](): void {
    for (const answer of this.#begun) answer?.then((bytes) => this.#source.giveBack(bytes)).catch(() => {});
    this.#waiting.length = 0;
    this.#begun.length = 0;
  }

  /** At once: who asks would take a slow disk for a lost connection. Where much is on its way to him, he hears of that. */
  #pong(channel: FrameChannel, id: number): void {
    if (!this.#socket.writableNeedDrain) channel.send(kinds.pong, id);
  }

  #beginSome(): void {
    for (const frame of this.#waiting.slice(this.#begun.length, READS_AHEAD - this.#inHand))
      this.#begun.push(this.#begin(frame));
  }

  #begin({ kind, body }: Frame): Promise<Buffer> | null {
    if (kind !== kinds.read) return null;
    const answer = (async () => this.#source.answer(parseRequest(body)))();
    // It is told to who asked, when it is its turn.
    answer.catch(() => {});
    return answer;
  }
}
