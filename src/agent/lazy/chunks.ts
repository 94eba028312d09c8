/** Granularity in which content is fetched and known to be here. */
export const CHUNK_BYTES = 16384;

/** Chunks from `first` up to and without `end`. */
export type ChunkRange = { first: number; end: number };

export function chunkCount(size: number): number {
  return Math.ceil(size / CHUNK_BYTES);
}

/** Bytes of a file's bitmap. */
export function bitmapBytes(size: number): number {
  return Math.ceil(chunkCount(size) / 8);
}

/** The chunks that a range of bytes touches, as far as the file of this size goes. */
export function chunksOf(offset: number, length: number, size: number): ChunkRange {
  const end = Math.min(offset + length, size);
  if (offset >= end) return { first: 0, end: 0 };
  return { first: Math.floor(offset / CHUNK_BYTES), end: chunkCount(end) };
}
