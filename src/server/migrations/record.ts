import { z } from 'zod';
import { Base, ContainerDefinition } from '../../api/container-definition.ts';
import { Failure, Migration, openPhases } from '../../api/migration.ts';

/** A migration as the Store keeps it: what the API shows, and what the driver needs to carry on after any crash. */
export const StoredMigration = Migration.extend({
  epoch: z.int().min(1).describe('Grows when another driver takes over and when a failed step is tried again.'),
  definition: ContainerDefinition,
  precopySeconds: z.number().nullable().default(null),
  force: z.boolean(),
  keepStaged: z.boolean().default(false),
  bases: z.array(Base).describe('What an earlier migration left at the target.'),
  leftAtSource: z.array(Base).describe('What this migration leaves at the source.'),
  frozenAtMs: z.number().nullable().describe('Server clock when the freeze was first ordered, ms since the epoch.'),
  startSent: z.boolean().describe('Set before the target is first told to start: until then it can’t have.'),
  startSentAt: z.iso.datetime().nullable().default(null).describe('When the target was first told to start.'),
  completing: z
    .boolean()
    .default(false)
    .describe('Set before the source is first released: it may be gone from then on.'),
  forgetting: z
    .array(z.string())
    .default([])
    .describe('Hosts whose agents still have a record of it, though it is over.'),
  clearing: z.boolean().describe('Rolled back, and what was staged at the target is still to be removed.'),
  undoing: Failure.nullable().describe('Set before the first act of a roll-back: from then on it only goes back.'),
});
export type StoredMigration = z.infer<typeof StoredMigration>;

/** What the API shows of it. */
export function toView(stored: StoredMigration): Migration {
  const {
    epoch: _,
    definition: __,
    force: ___,
    precopySeconds,
    keepStaged,
    bases,
    leftAtSource,
    frozenAtMs,
    startSent,
    startSentAt,
    completing,
    forgetting,
    clearing,
    undoing,
    ...view
  } = stored;
  return view;
}

/** Whether a driver has something to do for it. */
export function hasWork({ phase, clearing, forgetting, recovery }: StoredMigration): boolean {
  return openPhases.includes(phase) || clearing || forgetting.length > 0 || (recovery !== null && !recovery.fenced);
}
