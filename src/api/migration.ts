import { z } from 'zod';
import { Strategy } from './container-definition.ts';
import { Finding, Plan } from './plan.ts';

export const phases = [
  'planned',
  'staging',
  'switching',
  'hydrating',
  'copied',
  'completed',
  'rolled-back',
  'failed',
  'recovered',
] as const;
export const Phase = z.enum(phases);
export type Phase = z.infer<typeof Phase>;

/**
 * Every legal move of a migration. From `hydrating` on the container runs at the target and owns its data there: no move
 * leads back to the source but `recovered`, an operator's word that one side is lost for good. `failed` is for what went
 * wrong before anything was touched.
 */
export const moves = {
  planned: ['staging', 'failed'],
  staging: ['switching', 'rolled-back'],
  switching: ['hydrating', 'copied', 'rolled-back', 'recovered'],
  hydrating: ['copied', 'recovered'],
  copied: ['completed', 'recovered'],
  completed: [],
  'rolled-back': [],
  failed: [],
  recovered: [],
} as const satisfies Record<Phase, readonly Phase[]>;

export function isMove(from: Phase, to: Phase): boolean {
  return (moves[from] as readonly Phase[]).includes(to);
}

/** Phases in which the server still has work to do by itself. */
export const openPhases: readonly Phase[] = ['planned', 'staging', 'switching', 'hydrating'];
/** Phases that may still lead back to the source. */
export const undecidedPhases: readonly Phase[] = ['planned', 'staging', 'switching'];
/** Phases that hold the container: no second migration of it may begin. */
export const busyPhases: readonly Phase[] = [...openPhases, 'copied'];
/** Phases in which the container runs at the target. */
export const runningAtTarget: readonly Phase[] = ['hydrating', 'copied', 'completed'];

/** total: what is to be copied; local: at the target; verified: local with its checksum compared. */
export const Amount = z.object({ total: z.number(), local: z.number(), verified: z.number() });
export type Amount = z.infer<typeof Amount>;

export const Round = z.object({
  round: z.int(),
  final: z.boolean().describe('Taken while the container was stopped.'),
  files: z.int().describe('Entries created or changed.'),
  deleted: z.int(),
  bytes: z.number().describe('Content bytes that travelled.'),
  durationMs: z.number(),
});
export type Round = z.infer<typeof Round>;

const Part = z.number().nullable().default(null);

/** Where the time of the switch went, in ms, as the agents measured it; null: not known, or there was no such part. */
export const SwitchTimes = z.object({
  stopMs: Part.describe('The container stopped.'),
  drainMs: Part.describe('What had changed since the last round was found, from the change log or by a scan.'),
  applyMs: Part.describe('It came to the target, and is durable there.'),
  armMs: Part.describe('Lazy: what is missing was laid out and protected.'),
  startMs: Part.describe('Docker started the container.'),
  healthyMs: Part.describe('It became healthy; null without a health check.'),
});
export type SwitchTimes = z.infer<typeof SwitchTimes>;

export const Failure = z.object({
  code: z.string(),
  message: z.string(),
  details: z.unknown().optional(),
});
export type Failure = z.infer<typeof Failure>;

/** So many paths of entries that differ are shown. */
export const DIFFERING_SHOWN = 100;

/** What comparing the target's data with the checksums of what the source sent has come to. */
export const Verification = z.object({
  state: z.enum(['running', 'passed', 'failed', 'unfinished']),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
  files: z.int().describe('Entries that were compared and are the same.'),
  bytes: z.number().describe('Bytes of content of those.'),
  changed: z.int().describe('Entries that were changed at the target since they were copied: they prove nothing.'),
  differences: z.int().describe('Entries that nobody has changed at the target and that are not what the source sent.'),
  differing: z.array(z.string()).max(DIFFERING_SHOWN).describe('Their paths, of the first.'),
  error: Failure.nullable().describe('Why it was not finished.'),
});
export type Verification = z.infer<typeof Verification>;

/** How the data of one volume does that follows its running container. */
export const VolumeHydration = z.object({
  name: z.string(),
  files: z.int().describe('Files that were to follow.'),
  filesMissing: z.int(),
  bytesMissing: z.number(),
  bytesFetched: z.number().describe('Since its hydrator started.'),
  waiting: z.int().describe('Accesses that wait for their content right now.'),
  waits: z.int().describe('Accesses that had to wait.'),
  denied: z.int().describe('Accesses that were answered with EIO.'),
  p50Ms: z.number().nullable().describe('Median of the waits.'),
  p99Ms: z.number().nullable(),
  sourceAway: z.string().nullable().describe('Why the source can’t be reached, while it can’t.'),
  trouble: z.array(z.string()).describe('What keeps files from becoming complete.'),
});
export type VolumeHydration = z.infer<typeof VolumeHydration>;

export const Side = z.enum(['source', 'target']);
export type Side = z.infer<typeof Side>;

/** The way out when one side is lost for good: the other one is the container's home, decided before anything is done. */
export const Recovery = z.object({
  at: Side.describe('The side that goes on.'),
  lost: z.string().describe('Name of the host that was given up.'),
  losses: z.array(z.string()).describe('What was lost, as the operator accepted it.'),
  acceptedAt: z.iso.datetime(),
  fenced: z.boolean().describe('The lost host has been heard since, and can never run the container.'),
  keptAs: z.string().nullable().describe('Name of the stopped copy that is kept on the lost host.'),
});
export type Recovery = z.infer<typeof Recovery>;

/** A migration as the REST API shows it: `GET /v1/migrations/<id>`, `cargoctl status -o json`. Times are UTC, ISO 8601. */
export const Migration = z.object({
  id: z.string(),
  container: z.string().describe('Name, without the leading slash.'),
  containerId: z.string().describe('Docker id at the source.'),
  targetContainerId: z.string().nullable(),
  source: z.string().describe('Host name.'),
  sourceId: z.string(),
  target: z.string().describe('Host name.'),
  targetId: z.string(),
  phase: Phase,
  strategy: Strategy,
  rootfs: z.boolean(),
  bwlimit: z.number().nullable().describe('Bytes per second.'),
  paused: z.boolean().default(false).describe('The background copy rests; what the container touches still comes.'),
  hydration: z.array(VolumeHydration).default([]).describe('In phase hydrating, as last heard.'),
  activity: z.string().describe('What is being done right now, for people.'),
  files: Amount,
  bytes: Amount,
  rate: z.number().nullable().describe('Bytes per second, of the last seconds.'),
  etaSeconds: z.number().nullable(),
  rounds: z.array(Round),
  downtimeMs: z.number().nullable().describe('From stop to running (and healthy) again, as the agents measured it.'),
  switchTimes: SwitchTimes.prefault({}),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable().describe('When copying began.'),
  updatedAt: z.iso.datetime(),
  copiedAt: z.iso.datetime().nullable(),
  completedAt: z.iso.datetime().nullable(),
  cleanedUp: z.boolean().describe('The source container and its volumes were removed.'),
  movedAs: z.string().nullable().describe('Name that the stopped source container has now.'),
  findings: z.array(Finding),
  verification: Verification.nullable().default(null).describe('The last one that was asked for.'),
  error: Failure.nullable(),
  recovery: Recovery.nullable().default(null),
});
export type Migration = z.infer<typeof Migration>;

export const LONGEST_PRECOPY_SECONDS = 30 * 86_400;

const Reference = z.string().min(1).max(255);

export const MigrateOptions = z.strictObject({
  container: Reference.describe('Name or id.'),
  source: Reference.optional().describe('Host name, id or address; may be left out where the container is unique.'),
  target: Reference.describe('Host name, id or address.'),
  strategy: Strategy.optional(),
  precopySeconds: z
    .int()
    .min(0)
    .max(LONGEST_PRECOPY_SECONDS)
    .optional()
    .describe(
      'For at most so long data is copied before the container is stopped, also what could follow it. Left out: what was changed last, up to 256 MiB of each mount, or 2 s of the limit; 0: nothing.',
    ),
  rootfs: z.boolean().default(false),
  bwlimit: z.number().positive().nullable().default(null).describe('Bytes per second.'),
  force: z.boolean().default(false).describe('Go on when the container had to be killed to stop.'),
  keepStaged: z
    .boolean()
    .default(false)
    .describe('If it is rolled back, what was copied stays at the target: the next try sends the difference.'),
});
export type MigrateOptions = z.infer<typeof MigrateOptions>;

/** Body of the original `POST /cargo`. */
export const OriginalMigrateRequest = z.strictObject({
  source: Reference,
  target: Reference,
  container: Reference,
  rootfs: z.boolean().default(false),
  force: z.boolean().default(false).describe('Move it even if it does not stop by itself and has to be killed.'),
});

/** Body of `PATCH /v1/migrations/<id>`: takes effect at once where data follows, with the next round before that. */
export const ControlOptions = z.strictObject({
  bwlimit: z.number().positive().nullable().optional().describe('Bytes per second; null: no limit.'),
  paused: z.boolean().optional(),
});
export type ControlOptions = z.infer<typeof ControlOptions>;

export const FailoverOptions = z.strictObject({
  cleanup: z.boolean().default(false).describe('Remove the source container and its volumes.'),
});
export type FailoverOptions = z.infer<typeof FailoverOptions>;

export const RecoverOptions = z.strictObject({
  at: Side.describe('The side that is to go on; the other one is given up for good.'),
  acceptLoss: z.boolean().default(false).describe('Without it nothing is done: the answer lists what would be lost.'),
});
export type RecoverOptions = z.infer<typeof RecoverOptions>;

export const PlanResponse = Plan;
