import { z } from 'zod';
import { Base, ContainerDefinition } from './container-definition.ts';
import { Failure, Verification, VolumeHydration } from './migration.ts';
import { Finding } from './plan.ts';

/** `POST /v1/describe` of an agent: what a container is and what keeps it from moving. Changes nothing. */
export const DescribeRequest = z.object({ container: z.string() });
export const DescribeResponse = z.object({ definition: ContainerDefinition, findings: z.array(Finding) });
export type DescribeResponse = z.infer<typeof DescribeResponse>;

/** `POST /v1/preflight` of the target's agent. Changes nothing. */
export const PreflightRequest = z.object({
  definition: ContainerDefinition,
  bases: z.array(Base).describe('What the Store knows Cargo to have left on this host.'),
});
export type PreflightRequest = z.infer<typeof PreflightRequest>;
export const PreflightResponse = z.object({
  findings: z.array(Finding),
  imagePresent: z.boolean(),
  lazy: z
    .array(z.object({ index: z.int(), reason: z.string().nullable() }))
    .default([])
    .describe('Of each volume: null where its content may follow the running container, or why not.'),
  sameFiles: z.array(z.int()).default([]).describe('Indexes of mounts that are the same file here: nothing is copied.'),
});
export type PreflightResponse = z.infer<typeof PreflightResponse>;

/**
 * The steps of a migration that change something, each idempotent: sent twice with the same key it is done once and
 * answers twice. The agent persists the outcome before it answers.
 */
export const agentSteps = {
  /** Source: from now on the named target host may fetch this container's image and data. */
  serve: {
    side: 'source',
    input: z.object({ definition: ContainerDefinition, targetHostId: z.string() }),
    output: z.object({}),
  },
  /**
   * Source: restart policy off, stopped with its own stop signal and timeout, renamed, gated: volumes' `_data` and the
   * writable layer stand aside, so that no `docker start` brings it back.
   * `forced`: it ended by SIGKILL, which fails with MIGRATION_FAILED unless `force`.
   */
  freeze: {
    side: 'source',
    input: z.object({ movedTo: z.string().describe('Name of the target host.'), force: z.boolean() }),
    output: z.object({
      movedAs: z.string(),
      exitCode: z.int().nullable(),
      forced: z.boolean(),
      stopMs: z.number().describe('How long the container took to stop.'),
      bases: z.array(Base).describe('Where each data mount stands now.'),
    }),
  },
  /** Source: undoes freeze and serve, whatever of them was done; the container runs again if it ran before. */
  thaw: { side: 'source', input: z.object({}), output: z.object({ running: z.boolean() }) },
  /** Source: the migration is over: serves nothing more; with `cleanup` removes the container and its data volumes. */
  release: {
    side: 'source',
    input: z.object({ cleanup: z.boolean() }),
    output: z.object({ removed: z.array(z.string()) }),
  },

  /** Target: image, networks, volumes, container; created, not started, restart policy "no". */
  stage: {
    side: 'target',
    input: z.object({
      definition: ContainerDefinition,
      source: z.object({ hostId: z.string(), name: z.string(), address: z.string() }),
      bases: z.array(Base),
    }),
    output: z.object({ containerId: z.string(), layersFetched: z.int(), imageBytes: z.number() }),
  },
  /** Target: one round over all mounts, pulled from the source; afterwards the tree is what the source sent, to the byte. */
  copy: {
    side: 'target',
    input: z.object({
      round: z.int().min(1),
      final: z.boolean(),
      bwlimit: z.number().positive().nullable(),
      wholeMs: z
        .number()
        .min(0)
        .default(0)
        .describe('For so long content travels that could follow the container, too.'),
      freshBytes: z
        .int()
        .min(0)
        .default(0)
        .describe('Of what was changed last so much travels in any case; in the final round its differences.'),
    }),
    output: z.object({
      files: z.int().describe('Entries created or changed in this round.'),
      deleted: z.int(),
      bytes: z.number().describe('Content bytes that travelled in this round.'),
      totalFiles: z.int().describe('Entries of all trees at the end of the round.'),
      totalBytes: z.number().describe('Bytes of content of all trees at the end of the round.'),
      drainMs: z.number().nullable().default(null).describe('Until the source had said what differs.'),
      applyMs: z.number().nullable().default(null).describe('From then on until it was here, durable.'),
    }),
  },
  /**
   * Target: protects what is still missing of the lazy mounts, so that the container may be started: from now on an
   * access waits for its content. Sent again after a boot or a lost hydrator it takes up where it was.
   */
  arm: {
    side: 'target',
    input: z.object({ bwlimit: z.number().positive().nullable(), paused: z.boolean() }),
    output: z.object({
      files: z.int().describe('That wait for their content.'),
      armMs: z.number().nullable().default(null),
    }),
  },
  /** Target: ends when all content is here and nothing of the protection is left. */
  hydrate: { side: 'target', input: z.object({}), output: z.object({ files: z.int() }) },
  /** Target: uses the one permit to start; waits until it runs (and is healthy), then puts the restart policy back. */
  start: {
    side: 'target',
    input: z.object({ healthTimeoutMs: z.int().positive() }),
    output: z.object({
      running: z.boolean(),
      health: z.enum(['none', 'healthy']),
      startMs: z.number(),
      upMs: z.number().nullable().default(null).describe('Of startMs: until Docker had started it.'),
    }),
  },
  /**
   * Target: refuses the permit for ever; only this answer lets the source resume. Fails with TARGET_STARTED when the
   * permit was used and the container has come up.
   */
  refuse: { side: 'target', input: z.object({}), output: z.object({}) },
  /**
   * Target: removes all that stage made. Refuses the permit first, where that was not done. `keepStaged`: the data that
   * was copied stays, aside, as the base of another try.
   */
  abandon: {
    side: 'target',
    input: z.object({ keepStaged: z.boolean().optional() }),
    output: z.object({
      removed: z.array(z.string()),
      keptAs: z
        .string()
        .nullable()
        .default(null)
        .describe('The stopped container, where it has run here and written: its data is kept.'),
      bases: z.array(Base).default([]).describe('What was kept for another try.'),
    }),
  },
  /**
   * Target: compares all data that nobody has changed since the last round with the checksums of what the source sent.
   * Changes nothing; the container may run. Each verification has a key of its own.
   */
  verify: {
    side: 'target',
    input: z.object({}),
    output: Verification.pick({ files: true, bytes: true, changed: true, differences: true, differing: true }),
  },
  /**
   * Target: this host was given up (`recovered` at the source). Whatever ran here is killed and the permit refused for
   * ever, used or not. A copy that was told to start is kept, stopped and gated, under another name; any other is removed.
   */
  fence: {
    side: 'target',
    input: z.object({ lostTo: z.string().describe('Name of the host on which the container goes on.') }),
    output: z.object({ keptAs: z.string().nullable(), removed: z.array(z.string()) }),
  },
  /** Target: the migration is over; forgets what only the migration needed. */
  finish: { side: 'target', input: z.object({}), output: z.object({}) },
} as const;

export type StepName = keyof typeof agentSteps;
export type StepInput<S extends StepName> = z.infer<(typeof agentSteps)[S]['input']>;
export type StepOutput<S extends StepName> = z.infer<(typeof agentSteps)[S]['output']>;
export const stepNames = Object.keys(agentSteps) as StepName[];

/**
 * `PUT /v1/migrations/<id>/steps/<key>` of an agent. `epoch` grows whenever another driver takes the migration over; the
 * agent persists the highest it has seen and refuses lower ones with STALE_EPOCH. The key tells repeats from new work:
 * the step's name, `copy-<round>` or `verify-<number>`.
 */
export const StepCommand = z.object({
  step: z.enum(stepNames as [StepName, ...StepName[]]),
  epoch: z.int().min(1),
  input: z.unknown(),
});
export type StepCommand = z.infer<typeof StepCommand>;

export const StepProgress = z.object({
  activity: z.string().describe('For people: "copying volume db", "loading image".'),
  filesDone: z.int(),
  filesTotal: z.int(),
  bytesDone: z.number(),
  bytesTotal: z.number(),
  hydration: z.array(VolumeHydration).optional(),
});
export type StepProgress = z.infer<typeof StepProgress>;

/** Answer of PUT, and of `GET …/steps/<key>?waitMs=N`, which answers when the step ended or N ms have passed. */
export const StepReport = z.object({
  key: z.string(),
  state: z.enum(['running', 'done', 'failed']),
  progress: StepProgress.nullable(),
  output: z.unknown(),
  error: Failure.nullable(),
});
export type StepReport = z.infer<typeof StepReport>;

/** `PUT /v1/migrations/<id>/hydration` of the target's agent, while its data follows. */
export const HydrationControl = z.object({ bwlimit: z.number().positive().nullable(), paused: z.boolean() });
export type HydrationControl = z.infer<typeof HydrationControl>;

/** `POST /v1/migrations/<id>/image` of the source's agent, by the target's: a `docker load` tar without the layers named. */
export const ImageRequest = z.object({
  haveLayers: z.array(z.string()).describe('Diff ids present at the target, base first.'),
});

/** Name of the protocol that `GET /v1/migrations/<id>/mounts/<index>/rounds/<round>?final=0|1` is upgraded to. */
export const DATA_PROTOCOL = 'cargo-data/2';
