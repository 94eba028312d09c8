import type { Acknowledged } from './writer.ts';

/** A stretch of time in ms of the monotonic clock. */
export type Span = { from: number; to: number };

/**
 * The longest time without an acknowledged row that touches the span: what the client saw of what was done in it. The
 * last row before the span and the first after it count too. Null where there are no two rows around it.
 */
export function longestGap(rows: readonly Pick<Acknowledged, 'at'>[], { from, to }: Span): Span | null {
  let longest: Span | null = null;
  let previous: number | null = null;
  for (const { at } of rows) {
    if (previous !== null && at >= from && previous <= to) {
      if (longest === null || at - previous > longest.to - longest.from) longest = { from: previous, to: at };
    }
    previous = at;
  }
  return longest;
}

/** The same in ms; 0 without rows. */
export function longestGapMs(rows: readonly Pick<Acknowledged, 'at'>[], span: Span): number {
  const gap = longestGap(rows, span);
  return gap === null ? 0 : gap.to - gap.from;
}
