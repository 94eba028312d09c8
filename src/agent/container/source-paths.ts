import { CargoError } from '../../api/cargo-error.ts';
import type { MigrationRecord } from '../migrations/record.ts';

/**
 * Where a data mount is at the source right now: at its own place while the container runs, aside once the gate has
 * moved it.
 * @throws CargoError NOT_FOUND when the migration has no such mount
 */
export function sourceMountPath(record: MigrationRecord, index: number): string {
  const mount = record.definition?.mounts.find((candidate) => candidate.index === index);
  if (mount === undefined) throw new CargoError('NOT_FOUND', `migration ${record.id} has no data mount ${index}`);
  const moved = record.source?.frozen?.movedAside.find((candidate) => candidate.from === mount.path);
  return moved?.to ?? mount.path;
}
