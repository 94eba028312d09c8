import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { CargoError } from '../../api/cargo-error.ts';
import { RequestQueue } from './request-queue.ts';
import {
  type Frame,
  FrameChannel,
  kinds,
  parseListRequest,
  type RangeConnection,
  type RangeRequest,
  REQUEST_MAX_BYTES,
} from './wire.ts';

type MaybeLater<T> = T | Promise<T>;

/** Where the ranges come from: `ServedFiles` here, or in a thread of its own. */
export type RangeSource = {
  /** The range's hash and its bytes (`kinds.data`), in memory that is lent until `giveBack`. @throws CargoError SOURCE_FILE_CHANGED, PROTOCOL_ERROR */
  answer: (request: RangeRequest) => MaybeLater<Buffer>;
  giveBack: (answer: Buffer) => void;
  /** Encoded, from file number `from` on as many as fit one frame; `next` is null after the last one. */
  entries: (from: number) => MaybeLater<{ bytes: Buffer; next: number | null }>;
};

/**
 * Answers one connection's requests in the order in which they came, pings before all others, until it closes. The target has a connection for
 * what somebody waits for and another for the background, so neither stands in the other's way.
 *
 * @param refuse asked before each answer: throws when the target may have nothing any more, which ends the connection
 */
export async function serveRanges(
  connection: RangeConnection,
  source: RangeSource,
  refuse: () => void = () => {},
): Promise<void> {
  const { socket } = connection;
  using channel = new FrameChannel(connection, { longest: REQUEST_MAX_BYTES });
  using requests = new RequestQueue(socket, channel, source, refuse);
  try {
    refuse();
    // The source speaks first: a target that has just left TLS must not be heard before that is known here.
    channel.send(kinds.pong, 0);
    for await (const { frame, answer } of requests) {
      refuse();
      if (!(await reply({ channel, source }, frame, answer))) await room(socket);
      if (frame.kind === kinds.list) await sendList({ channel, socket, source }, frame);
    }
  } finally {
    socket.destroy();
  }
}

type ReplyTo = { channel: FrameChannel; source: RangeSource };

async function reply(
  { channel, source }: ReplyTo,
  { kind, id }: Frame,
  answer: Promise<Buffer> | null,
): Promise<boolean> {
  if (kind === kinds.list) return true;
  try {
    if (answer === null) throw new CargoError('PROTOCOL_ERROR', 'A request is unknown.');
    const body = await answer;
    return channel.send(kinds.data, id, body, () => source.giveBack(body));
  } catch (error) {
    return sendFailure(channel, id, error);
  }
}

type ListTo = { channel: FrameChannel; socket: Duplex; source: RangeSource };

async function sendList({ channel, socket, source }: ListTo, { id, body }: Frame): Promise<void> {
  try {
    for (let from: number | null = parseListRequest(body); from !== null && !socket.destroyed; ) {
      const { bytes, next }: Awaited<ReturnType<RangeSource['entries']>> = await source.entries(from);
      if (!channel.send(kinds.entries, id, bytes)) await room(socket);
      from = next;
    }
    channel.send(kinds.end, id);
  } catch (error) {
    sendFailure(channel, id, error);
  }
}

/** Until the socket takes more, or is closed. */
async function room(socket: Duplex): Promise<void> {
  if (socket.destroyed) return;
  const over = new AbortController();
  try {
    await Promise.race(['drain', 'close'].map((event) => once(socket, event, { signal: over.signal })));
  } finally {
    over.abort();
  }
}

function sendFailure(channel: FrameChannel, id: number, error: unknown): boolean {
  return channel.send(kinds.failed, id, Buffer.from(JSON.stringify(CargoError.from(error).toBody())));
}
