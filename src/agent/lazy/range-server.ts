import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { CargoError } from '../../api/cargo-error.ts';
import { hashOf } from './range-hash.ts';
import { type Frame, FrameChannel, kinds, type RangeConnection, READ_MAX_BYTES } from './wire.ts';

/** As many answers are read from the disk at once, whatever the target asks for. */
const READS_AHEAD = 4;

type MaybeLater<T> = T | Promise<T>;

/** Where the ranges come from: `ServedFiles` here, or in a thread of its own. The bytes are the caller's. */
export type RangeSource = {
  /** @throws CargoError SOURCE_FILE_CHANGED, PROTOCOL_ERROR */
  read: (file: number, offset: number, length: number) => MaybeLater<Buffer>;
  /** Encoded, from file number `from` on as many as fit one frame; `next` is null after the last one. */
  entries: (from: number) => MaybeLater<{ bytes: Buffer; next: number | null }>;
};

/**
 * Answers one connection's requests in the order in which they came, until it closes. The target has a connection for
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
  using channel = new FrameChannel(connection);
  try {
    refuse();
    // The source speaks first: a target that has just left TLS must not be heard before that is known here.
    channel.send(kinds.pong, 0);
    for await (const piece of piecesOf(socket)) {
      const frames = [...channel.receive(piece)];
      const begun: Promise<Buffer>[] = [];
      for (const [index, frame] of frames.entries()) {
        for (const next of frames.slice(begun.length, index + READS_AHEAD)) begun.push(begin(source, next));
        refuse();
        if (!(await answer(channel, frame, begun[index]))) await room(socket);
        if (frame.kind === kinds.list) await sendList({ channel, socket, source }, frame.id);
      }
    }
  } finally {
    socket.destroy();
  }
}

/** Of a socket that has left TLS come bytes by its `data` events and no other way. */
async function* piecesOf(socket: Duplex): AsyncGenerator<Buffer> {
  const pieces: Buffer[] = [];
  let wake = Promise.withResolvers<void>();
  let isOver = false;
  const end = (): void => {
    isOver = true;
    wake.resolve();
  };
  socket.on('data', (piece: Buffer) => {
    socket.pause();
    pieces.push(Buffer.from(piece));
    wake.resolve();
  });
  socket.on('end', end).on('close', end).on('error', end);
  while (true) {
    const piece = pieces.shift();
    if (piece !== undefined) yield piece;
    if (pieces.length > 0) continue;
    if (isOver || socket.destroyed) return;
    wake = Promise.withResolvers<void>();
    socket.resume();
    await wake.promise;
  }
}

/** The disk is at the next answer while this one is hashed, sealed and sent. Empty for what is no request to read. */
function begin(source: RangeSource, { kind, body }: Frame): Promise<Buffer> {
  const read = async (): Promise<Buffer> => {
    if (kind !== kinds.read) return Buffer.alloc(0);
    if (body.length !== 16) throw new CargoError('PROTOCOL_ERROR', 'A request is unknown.');
    const length = body.readUInt32LE(12);
    if (length > READ_MAX_BYTES) throw new CargoError('PROTOCOL_ERROR', 'More is asked for than fits one answer.');
    return source.read(body.readUInt32LE(0), Number(body.readBigUInt64LE(4)), length);
  };
  const bytes = read();
  // It is told to who asked, when it is its turn.
  bytes.catch(() => {});
  return bytes;
}

async function answer(channel: FrameChannel, { kind, id }: Frame, content?: Promise<Buffer>): Promise<boolean> {
  if (kind === kinds.ping) return channel.send(kinds.pong, id);
  if (kind === kinds.list) return true;
  try {
    if (kind !== kinds.read || content === undefined) throw new CargoError('PROTOCOL_ERROR', 'A request is unknown.');
    const bytes = await content;
    return channel.send(kinds.data, id, hashOf(bytes), bytes);
  } catch (error) {
    return sendFailure(channel, id, error);
  }
}

type ListTo = { channel: FrameChannel; socket: Duplex; source: RangeSource };

async function sendList({ channel, socket, source }: ListTo, id: number): Promise<void> {
  try {
    for (let from: number | null = 0; from !== null && !socket.destroyed; ) {
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
