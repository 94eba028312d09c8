import type { Acknowledged } from './writer.ts';

/** A stretch of time in ms of the monotonic clock. */
export type Span = { from: number; to: number };

/**
 * The longest time without an acknowledged row that touches the span: what the client saw of what was done in it. The
 * last row before the span and the first after it count too.
 */
export function longestGapMs(rows: readonly Pick<Acknowledged, 'at'>[], { from, to }: Span): number {
  let longest = 0;
  let previous: number | null = null;
  for (const { at } of rows) {
    if (previous !== null && at >= from && previous <= to) longest = Math.max(longest, at - previous);
    previous = at;
  }
  return longest;
}
