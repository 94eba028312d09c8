import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { encodeEntry } from './entry.ts';
import { hashOf } from './range-hash.ts';
import type { ServedFiles } from './served-files.ts';
import { type Frame, FrameReader, kinds, READ_MAX_BYTES, sendFrame } from './wire.ts';

const LIST_BATCH_BYTES = 262_144;

/**
 * Answers one connection's requests in the order in which they came, until it closes. The target has a connection for
 * what somebody waits for and another for the background, so neither stands in the other's way.
 */
export async function serveRanges(socket: Duplex, files: ServedFiles): Promise<void> {
  const reader = new FrameReader();
  try {
    for await (const piece of socket) {
      for (const frame of reader.push(piece)) {
        if (!answer(socket, files, frame)) await room(socket);
        if (frame.kind === kinds.list) await sendList(socket, files, frame.id);
      }
    }
  } catch {
    socket.destroy();
  }
}

function answer(socket: Duplex, files: ServedFiles, { kind, id, body }: Frame): boolean {
  if (kind === kinds.ping) return sendFrame(socket, kinds.pong, id);
  if (kind === kinds.list) return true;
  try {
    if (kind !== kinds.read || body.length !== 16) throw new CargoError('PROTOCOL_ERROR', 'A request is unknown.');
    const length = body.readUInt32LE(12);
    if (length > READ_MAX_BYTES) throw new CargoError('PROTOCOL_ERROR', 'More is asked for than fits one answer.');
    const bytes = files.read(body.readUInt32LE(0), Number(body.readBigUInt64LE(4)), length);
    return sendFrame(socket, kinds.data, id, hashOf(bytes), bytes);
  } catch (error) {
    return sendFailure(socket, id, error);
  }
}

async function sendList(socket: Duplex, files: ServedFiles, id: number): Promise<void> {
  try {
    let batch: Buffer[] = [];
    let length = 0;
    for (let file = 0; file < files.count; file += 1) {
      const entry = encodeEntry(files.list(file));
      batch.push(entry);
      length += entry.length;
      if (length < LIST_BATCH_BYTES) continue;
      if (!sendFrame(socket, kinds.entries, id, ...batch)) await room(socket);
      batch = [];
      length = 0;
      await nextTurn();
    }
    sendFrame(socket, kinds.entries, id, ...batch);
    sendFrame(socket, kinds.end, id);
  } catch (error) {
    sendFailure(socket, id, error);
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

function sendFailure(socket: Duplex, id: number, error: unknown): boolean {
  return sendFrame(socket, kinds.failed, id, Buffer.from(JSON.stringify(CargoError.from(error).toBody())));
}
