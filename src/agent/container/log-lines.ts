import type { Engine } from '../docker/index.ts';

const LINES = 20;
const HEADER_BYTES = 8;
const MAX_LINE = 500;

/** The container's last words, for the operator; none where its log driver can't be read. */
export async function lastLogLines(engine: Engine, id: string, signal: AbortSignal): Promise<string[]> {
  try {
    const text = unframed(await engine.logTail(id, LINES, signal)).toString('utf8');
    const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
    return lines.slice(-LINES).map((line) => line.slice(0, MAX_LINE));
  } catch (thrown) {
    signal.throwIfAborted();
    return [`(no log: ${thrown instanceof Error ? thrown.message : String(thrown)})`];
  }
}

/**
 * Without a TTY Docker frames the two outputs: a byte 0, 1 or 2, three zeros, the length as 32 bits big endian, the text
 * (Docker Engine API, "Attach to a container", stream format). With a TTY the text comes bare.
 */
export function unframed(log: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= log.length) {
    if (log.readUInt8(at) > 2 || log.readUIntBE(at + 1, 3) !== 0) return log;
    const end = at + HEADER_BYTES + log.readUInt32BE(at + 4);
    pieces.push(log.subarray(at + HEADER_BYTES, end));
    at = end;
  }
  return pieces.length > 0 ? Buffer.concat(pieces) : log;
}
