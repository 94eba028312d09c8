import { z } from 'zod';
import type { Migration } from './migration.ts';

/** `GET /cargo/replication/<container>` of the 2015 guide, to the letter: times `YYYY-MM-DD HH:MM:SS` UTC, "" while unset. */
export const Replication = z.object({
  start: z.string(),
  update: z.string(),
  complete: z.string(),
  curr: z.int(),
  total: z.int(),
  completed: z.boolean(),
});
export type Replication = z.infer<typeof Replication>;

export function replicationOf(migration: Migration): Replication {
  return {
    start: guideTime(migration.startedAt),
    update: migration.startedAt === null ? '' : guideTime(migration.updatedAt),
    complete: guideTime(migration.copiedAt),
    curr: migration.files.local,
    total: migration.files.total,
    completed: migration.copiedAt !== null,
  };
}

function guideTime(iso: string | null): string {
  return iso === null ? '' : iso.slice(0, 19).replace('T', ' ');
}
