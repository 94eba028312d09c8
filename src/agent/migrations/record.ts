import { z } from 'zod';
import { Base, ContainerDefinition } from '../../api/container-definition.ts';
import { Failure } from '../../api/migration.ts';

/** How a step ended, kept so that the same command gets the same answer for ever. */
export const StepOutcome = z.object({
  state: z.enum(['done', 'failed']),
  epoch: z.int().describe('Of the command that it answers; a failed step runs again for a higher one.'),
  output: z.unknown(),
  error: Failure.nullable(),
});
export type StepOutcome = z.infer<typeof StepOutcome>;

/** The other agent of the migration. `address` (host:port) is known to the target alone: it is the target that connects. */
export const Peer = z.object({ hostId: z.string(), name: z.string().nullable(), address: z.string().nullable() });

/**
 * What the source has done to its container. Each field is written before the act that it announces, so that `thaw`
 * knows what there may be to undo.
 */
export const SourceState = z.object({
  serving: z.boolean(),
  frozen: z
    .object({
      containerId: z.string(),
      wasRunning: z.boolean(),
      originalName: z.string(),
      startedAt: z.string().default('').describe('Docker’s State.StartedAt before the freeze.'),
      stopping: z.boolean().default(false).describe('Docker has been asked to stop it, or is about to be.'),
      movedAs: z.string(),
      restartPolicy: z.record(z.string(), z.unknown()).describe('HostConfig.RestartPolicy before the freeze.'),
      movedAside: z
        .array(z.object({ from: z.string(), to: z.string() }))
        .describe('Directories renamed by the gate; `to` exists once it is done.'),
    })
    .nullable(),
  released: z.boolean(),
});
export type SourceState = z.infer<typeof SourceState>;

/**
 * What the target has made. `permit` is the one right to start the container: it goes from unused to used (written
 * before `docker start`) or to refused (written before abandoning), and never back.
 */
export const TargetState = z.object({
  permit: z.enum(['unused', 'used', 'refused']),
  containerId: z.string().nullable(),
  restartPolicy: z.record(z.string(), z.unknown()).nullable().describe('To be put back after the start.'),
  createdVolumes: z.array(z.string()),
  createdNetworks: z.array(z.string()),
  createdPaths: z.array(z.string()).describe('Bind paths that did not exist before.'),
  adoptedPaths: z
    .array(z.object({ path: z.string(), mode: z.int(), uid: z.int(), gid: z.int() }))
    .describe('Empty bind directories that were here before, with the mode and owner they had.'),
  loadedImages: z.array(z.string()),
  usedBases: z
    .array(z.object({ base: Base, from: z.string(), to: z.string() }))
    .describe('Directories renamed from aside.'),
  gate: z
    .array(z.object({ from: z.string(), to: z.string() }))
    .default([])
    .describe('What keeps the staged container from being started; closed again at boot until the server is heard.'),
  lazy: z
    .array(z.object({ index: z.int(), suspect: z.boolean(), takenAway: z.boolean().default(false) }))
    .default([])
    .describe('Mounts whose content follows: written before anything is done about it, gone when all is here.'),
  whole: z
    .boolean()
    .nullable()
    .default(null)
    .describe(
      'On the way back: whether all data is here; what is missing then will never come, and the copy is of no use. Null: not decided.',
    ),
  held: z.boolean().default(false).describe('The gate was closed at boot: only the server’s word opens it.'),
  keptAs: z.string().nullable().default(null).describe('Name of the copy that was fenced off here.'),
  mountPaths: z.array(z.object({ index: z.int(), path: z.string() })).describe('Where each data mount is here.'),
});
export type TargetState = z.infer<typeof TargetState>;

/** One migration as this agent knows it: `<data dir>/migrations/<id>/record.json`, replaced atomically and synced. */
export const MigrationRecord = z.object({
  id: z.string(),
  epoch: z.int(),
  definition: ContainerDefinition.nullable(),
  peer: Peer.nullable(),
  source: SourceState.nullable(),
  target: TargetState.nullable(),
  outcomes: z.record(z.string(), StepOutcome).describe('By step key.'),
});
export type MigrationRecord = z.infer<typeof MigrationRecord>;
