/**
 * What travels over the socket: frames of [kind u8, 0 u8 ×3, ops length u32, data length u32] [ops] [data], little
 * endian. Control frames hold JSON as their ops and no data. In OPS frames the ops are small records; the data of all
 * of them lies behind, that of the first op last (the sender fills its buffer from both ends).
 */
import { BLOCK_BYTES } from './format.ts';

export const HEADER_BYTES = 12;

/** Holds an op with a block and its longest name many times over; a frame that claims more is refused unread. */
export const FRAME_MAX_BYTES = 1024 * 1024 + BLOCK_BYTES;

export const frameKinds = {
  hello: 1,
  welcome: 2,
  haveTree: 3,
  haveBlocks: 4,
  haveEnd: 5,
  plan: 6,
  ops: 7,
  end: 8,
  acknowledge: 9,
  error: 10,
  ping: 11,
  bye: 12,
  verdict: 13,
} as const;

export type FrameKind = (typeof frameKinds)[keyof typeof frameKinds];

const known = new Set<number>(Object.values(frameKinds));

export type FrameHeader = { kind: FrameKind; opsLength: number; dataLength: number };

export function encodeHeader(header: FrameHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt8(header.kind, 0);
  bytes.writeUInt32LE(header.opsLength, 4);
  bytes.writeUInt32LE(header.dataLength, 8);
  return bytes;
}

/** Null for a header that no sender of ours makes: unknown kind, or lengths beyond the limit. */
export function decodeHeader(bytes: Buffer): FrameHeader | null {
  const kind = bytes.readUInt8(0);
  const opsLength = bytes.readUInt32LE(4);
  const dataLength = bytes.readUInt32LE(8);
  if (!isFrameKind(kind) || bytes.readUIntLE(1, 3) !== 0) return null;
  return opsLength + dataLength > FRAME_MAX_BYTES ? null : { kind, opsLength, dataLength };
}

function isFrameKind(kind: number): kind is FrameKind {
  return known.has(kind);
}
