import type { ContentEvent } from '../../linux/fanotify.ts';
import { type ChunkRange, chunkCount, chunksOf } from './chunks.ts';
import type { Demand } from './demand.ts';
import type { FileTable } from './file-table.ts';

/**
 * The chunks that an event needs. A write that may be an appending one (the kernel reports those at offset 0) or that
 * ends beyond the file also changes the page that the file ends in.
 */
export function chunksNeeded(event: ContentEvent, demand: Demand, size: number): ChunkRange[] {
  const last = chunkCount(size);
  if (demand.need === 'nothing') return [];
  if (demand.need === 'whole') return [{ first: 0, end: last }];
  const touched = chunksOf(event.offset, event.length, size);
  const reachesEnd = demand.durable && (event.offset === 0 || event.offset + event.length >= size);
  return reachesEnd ? [touched, { first: last - 1, end: last }] : [touched];
}

/** Whether an event may be answered now. */
export function isFulfilled(table: FileTable, file: number, demand: Demand, needed: readonly ChunkRange[]): boolean {
  if (table.isDone(file)) return true;
  if (table.isHere(file) && !demand.durable) return true;
  const bits = demand.durable ? table.durable : table.here;
  return needed.every((chunks) => bits.covers(table.start(file), chunks));
}
