import { CargoError } from '../../api/cargo-error.ts';
import { isEntryName } from '../volume/op-reader.ts';

/** From `start` up to and without `end`. */
export type ByteRange = { start: number; end: number };

/** A file whose content stays at the source for now, as the source lists it. */
export type ListedFile = {
  /** The source's number for it. */
  file: number;
  size: number;
  mtimeSeconds: number;
  /** Where the source has data; all else is holes. */
  data: ByteRange[];
  /** Names from the root down, without NUL. */
  path: Buffer[];
};

const HEAD_BYTES = 30;
const RANGE_BYTES = 16;
const SLASH = 0x2f;

/** u32 file, u64 size, i64 mtime, u32 number of ranges, u32 and u16 length of the path: then ranges, then the path. */
export function encodeEntry(entry: ListedFile): Buffer {
  const path = Buffer.concat(entry.path.flatMap((name, index) => (index === 0 ? [name] : [Buffer.from('/'), name])));
  const bytes = Buffer.alloc(HEAD_BYTES + entry.data.length * RANGE_BYTES + path.length);
  bytes.writeUInt32LE(entry.file, 0);
  bytes.writeBigUInt64LE(BigInt(entry.size), 4);
  bytes.writeBigInt64LE(BigInt(entry.mtimeSeconds), 12);
  bytes.writeUInt32LE(entry.data.length, 20);
  bytes.writeUInt32LE(path.length, 24);
  entry.data.forEach(({ start, end }, index) => {
    bytes.writeBigUInt64LE(BigInt(start), HEAD_BYTES + index * RANGE_BYTES);
    bytes.writeBigUInt64LE(BigInt(end), HEAD_BYTES + index * RANGE_BYTES + 8);
  });
  path.copy(bytes, HEAD_BYTES + entry.data.length * RANGE_BYTES);
  return bytes;
}

/** Everything is checked: the peer may be anybody's. @throws CargoError PROTOCOL_ERROR */
export function* decodeEntries(bytes: Buffer): Generator<ListedFile> {
  for (let at = 0; at < bytes.length; ) {
    if (at + HEAD_BYTES > bytes.length) throw violation('an entry is cut off');
    const ranges = bytes.readUInt32LE(at + 20);
    const pathStart = at + HEAD_BYTES + ranges * RANGE_BYTES;
    const end = pathStart + bytes.readUInt32LE(at + 24);
    if (end > bytes.length) throw violation('an entry is cut off');
    const size = Number(bytes.readBigUInt64LE(at + 4));
    yield {
      file: bytes.readUInt32LE(at),
      size,
      mtimeSeconds: Number(bytes.readBigInt64LE(at + 12)),
      data: readRanges(bytes.subarray(at + HEAD_BYTES, pathStart), size),
      path: splitPath(bytes.subarray(pathStart, end)),
    };
    at = end;
  }
}

function readRanges(bytes: Buffer, size: number): ByteRange[] {
  const ranges: ByteRange[] = [];
  let last = 0;
  for (let at = 0; at < bytes.length; at += RANGE_BYTES) {
    const range = { start: Number(bytes.readBigUInt64LE(at)), end: Number(bytes.readBigUInt64LE(at + 8)) };
    const isInOrder = range.start >= last && range.start < range.end && range.end <= size;
    if (!isInOrder || !Number.isSafeInteger(size)) throw violation('a range lies outside its file');
    ranges.push(range);
    last = range.end;
  }
  return ranges;
}

function splitPath(bytes: Buffer): Buffer[] {
  const path: Buffer[] = [];
  for (let start = 0; start <= bytes.length; ) {
    const slash = bytes.indexOf(SLASH, start);
    const end = slash < 0 ? bytes.length : slash;
    path.push(bytes.subarray(start, end));
    start = end + 1;
  }
  if (!path.every(isEntryName)) throw violation('an entry has a name that no file can have');
  return path;
}

function violation(what: string): CargoError {
  return new CargoError('PROTOCOL_ERROR', `The source broke the lazy protocol: ${what}.`);
}
