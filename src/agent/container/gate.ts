import { lstat, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerDefinition } from '../../api/container-definition.ts';
import type { ContainerInspect } from '../docker/index.ts';
import { migrationMark } from './definition-parts.ts';
import { isMissing, syncDirectory } from './host-paths.ts';

/**
 * The gate: what keeps a moved container from being started again on the host it left, by whatever name or id, by a
 * restart policy or by a restart of the daemon.
 *
 * Directories that Docker needs for a start stand aside, under a name that says where the container went:
 * - `_data` of each volume: Docker resolves it before a mount ("lstat …/_data: no such file or directory") and never
 *   makes it anew;
 * - `work` of the container's overlay2 layer: without it the kernel refuses the overlay mount ("error creating overlay
 *   mount to …/merged: no such file or directory"). This one holds for containers with bind mounts alone, or with no
 *   mounts at all. The layer's content (`diff`) stays where it is;
 * - where Docker says nothing of such a layer (the containerd store), `mounts` of the container's own directory, with a
 *   file in its place ("mkdir …/mounts: not a directory").
 * `docker rm` works as ever.
 */
/** The directory whose place a file takes while it is aside. */
const STOOD_IN_FOR = 'mounts';

export type GateMove = { from: string; to: string };

/** What the gate of this container consists of. Nothing is moved yet. */
export function gateMoves(
  definition: ContainerDefinition,
  inspect: ContainerInspect,
  movedTo: string,
  migrationId: string,
): GateMove[] {
  const suffix = `.moved-to-${movedTo}-${migrationMark(migrationId)}`;
  const volumes = definition.mounts.filter((mount) => mount.kind === 'volume').map((mount) => mount.path);
  const own = inspect.GraphDriver?.Data?.['WorkDir'] ?? join(dirname(inspect.HostsPath), STOOD_IN_FOR);
  return [own, ...volumes].map((from) => ({ from, to: `${from}${suffix}` }));
}

/**
 * The gate of a container that is only staged: until the permit is used nobody can start it by hand while the source
 * runs. Only where Docker tells of its layer: another container has no directory yet whose absence would hinder it.
 */
export function stagedGate(inspect: ContainerInspect, migrationId: string): GateMove[] {
  const work = inspect.GraphDriver?.Data?.['WorkDir'];
  return work === undefined ? [] : [{ from: work, to: `${work}.arriving-${migrationMark(migrationId)}` }];
}

/** Moves each directory aside that is not there yet; durable on return. */
export async function closeGate(moves: readonly GateMove[]): Promise<void> {
  for (const { from, to } of moves) {
    await moveOnce(from, to);
    if (basename(from) === STOOD_IN_FOR) await writeFile(from, `The container was moved away: see ${to}\n`);
  }
}

/** Puts each directory back that stands aside, and leaves alone what does not; durable on return. */
export async function openGate(moves: readonly GateMove[]): Promise<void> {
  for (const { from, to } of moves) {
    if (!(await isDirectory(to))) continue;
    if (basename(from) === STOOD_IN_FOR) await rm(from, { force: true });
    await moveOnce(to, from);
  }
}

/**
 * Renames a directory whose rename may have been done before. A directory at `to` is never replaced.
 * @throws CargoError MIGRATION_FAILED when both or neither are there
 */
export async function moveOnce(from: string, to: string): Promise<void> {
  const [here, there] = [await isDirectory(from), await isDirectory(to)];
  if (here === there) {
    const found = here ? 'both are there' : 'neither is there';
    throw new CargoError('MIGRATION_FAILED', `could not move ${from} to ${to}: ${found}; look at both by hand`);
  }
  if (here) await rename(from, to);
  for (const directory of new Set([dirname(to), dirname(from)])) await syncDirectory(directory);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (thrown) {
    if (isMissing(thrown)) return false;
    throw thrown;
  }
}
