import { z } from 'zod';
import { Phase } from './volume-record.ts';

/** How a lazy volume does; counters begin anew with each hydrator, except what is missing. */
export const LazyStatus = z.object({
  phase: Phase,
  reason: z.string().nullable(),
  files: z.int(),
  filesDone: z.int(),
  bytesMissing: z.number(),
  bytesFetched: z.number(),
  waiting: z.int().describe('Accesses that wait right now.'),
  waits: z.int(),
  denied: z.int().describe('Accesses that were answered with EIO.'),
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
  paused: z.boolean(),
  bwlimit: z.number().nullable(),
  sourceAway: z.object({ since: z.number(), reason: z.string() }).nullable(),
  trouble: z.array(z.string()).describe('What keeps files from becoming complete, in sentences.'),
});
export type LazyStatus = z.infer<typeof LazyStatus>;

/** What a hydrator is told over its socket: one JSON object a line, each answered by one line. */
export const ControlRequest = z.discriminatedUnion('do', [
  z.object({ do: z.literal('status') }),
  z.object({ do: z.literal('pause') }),
  z.object({ do: z.literal('resume') }),
  z.object({ do: z.literal('bwlimit'), bytesPerSecond: z.number().positive().nullable() }),
  z.object({ do: z.literal('rest'), forMs: z.number().nonnegative() }),
]);
export type ControlRequest = z.infer<typeof ControlRequest>;
