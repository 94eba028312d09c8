import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { readIfThere, replaceDurably, replaceWhole } from '../../files/durable-file.ts';
import { SourceAddress } from './source-address.ts';

/** A process that keeps the event group alive. The start time tells it from another process that got its number. */
export const Holder = z.object({ pid: z.int(), startTime: z.string() });
export type Holder = z.infer<typeof Holder>;

/**
 * `staged`: laid out, unprotected: nobody may use the tree yet. `arming`: marks are being set. `armed`: may be used, content
 * arrives. `finished`: all is here. `suspect`: the protection was lost while something was missing: what was read or
 * written since can't be vouched for.
 */
export const Phase = z.enum(['staged', 'arming', 'armed', 'finished', 'suspect']);
export type Phase = z.infer<typeof Phase>;

export const VolumeRecord = z.object({
  path: z.string().describe('Root of the tree.'),
  source: SourceAddress,
  phase: Phase,
  reason: z.string().nullable().describe('Why it is suspect.'),
  files: z.int().describe('Placeholders that were laid out.'),
  bootId: z.string().nullable().describe('Of the boot in which it was armed.'),
  holders: z.array(Holder),
  hydrator: Holder.nullable().describe('The last one that was started.'),
  bwlimit: z.number().positive().nullable(),
  paused: z.boolean(),
  restForMs: z.number().nonnegative().default(0).describe('For so long the copy does not begin once it is armed.'),
  waitLimitMs: z.int().positive().nullable().describe('After this long without the source a reader gets EIO.'),
});
export type VolumeRecord = z.infer<typeof VolumeRecord>;

const path = (stateDir: string): string => join(stateDir, 'volume.json');

/** Null when nothing was staged with this state directory. */
export async function readRecord(stateDir: string): Promise<VolumeRecord | null> {
  const text = await readIfThere(path(stateDir));
  return text === null ? null : VolumeRecord.parse(JSON.parse(text));
}

/** @throws CargoError NOT_FOUND */
export async function expectRecord(stateDir: string): Promise<VolumeRecord> {
  const record = await readRecord(stateDir);
  if (record === null) throw new CargoError('NOT_FOUND', `Nothing is staged in ${stateDir}.`);
  return record;
}

/** Durable on return, and with it all else in the directory, once the tree may be used: before that nobody has anything to lose, and waits for each sync. */
export async function writeRecord(stateDir: string, record: VolumeRecord): Promise<void> {
  const isInUse = record.phase !== 'staged' && record.phase !== 'arming';
  const replace = isInUse ? replaceDurably : replaceWhole;
  await replace(path(stateDir), JSON.stringify(VolumeRecord.parse(record)));
}

/** Changes with every boot of the machine, and of a container that has an init of its own: its mounts are gone then. */
export function bootId(): string {
  const startedAt = readFileSync('/proc/1/stat', 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')[19];
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()}:${startedAt}`;
}
