import { z } from 'zod';
import { DIFFERING_SHOWN } from '../../api/migration.ts';

/** What the control frames of a round hold, in the order in which they travel. */

/** Of the block hashes in manifests and ops: 32 bytes. */
export const HashKey = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);

/** Source → target. `bases`: states of the receiver that the source has manifests of. */
export const Hello = z.strictObject({
  protocol: z.string(),
  round: z.int(),
  final: z.boolean(),
  isFile: z.boolean(),
  hashKey: HashKey,
  bases: z.array(z.string()).max(8),
});

/** Target → source. `base`: the one of the bases that the target is in; null: its manifest follows. */
export const Welcome = z.strictObject({ base: z.string().nullable() });

/** Source → target: what is to be looked at in this round, at most. */
export const RoundPlan = z.strictObject({ files: z.int(), bytes: z.int() });

/** Source → target, after the last op: what both sides must have counted, and the state's name. */
export const End = z.strictObject({
  state: z.string(),
  digest: z.string(),
  files: z.int(),
  deleted: z.int(),
  bytes: z.int(),
  totalFiles: z.int(),
  totalBytes: z.int(),
});

/** Source → target, after a verification: what the target's tree is beside what was sent. */
export const Verdict = z.strictObject({
  files: z.int(),
  bytes: z.int(),
  changed: z.int(),
  differences: z.int(),
  differing: z.array(z.string()).max(DIFFERING_SHOWN),
});

/** Target → source: all of it is applied and durable; or the verdict has arrived. */
export const Acknowledge = z.strictObject({ state: z.string() });
