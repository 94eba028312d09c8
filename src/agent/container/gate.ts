import { lstat, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerDefinition } from '../../api/container-definition.ts';
import { syncDirectory } from '../../files/durable-file.ts';
import type { ContainerInspect, Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { migrationMark } from './definition-parts.ts';
import { isMissing } from './host-paths.ts';

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

/** What the gate of a moved container consists of. Nothing is moved yet. */
export async function gateMoves(
  engine: Engine,
  definition: ContainerDefinition,
  inspect: ContainerInspect,
  goneTo: { host: string; migrationId: string },
  signal: AbortSignal,
): Promise<GateMove[]> {
  const suffix = `.moved-to-${goneTo.host}-${migrationMark(goneTo.migrationId)}`;
  const volumes = definition.mounts.filter((mount) => mount.kind === 'volume').map((mount) => mount.path);
  const own = await ownDirectory(engine, inspect, signal);
  return [own, ...volumes].map((from) => ({ from, to: `${from}${suffix}` }));
}

/** The gate of a container that is only staged: nobody can start it by hand while the source runs. */
export async function stagedGate(engine: Engine, containerId: string, context: StepContext): Promise<GateMove[]> {
  const inspect = await engine.inspect(containerId, context.signal);
  const from = await ownDirectory(engine, inspect, context.signal);
  return [{ from, to: `${from}.arriving-${migrationMark(context.migrationId)}` }];
}

/** A directory that belongs to this one container and that its start needs. */
async function ownDirectory(engine: Engine, inspect: ContainerInspect, signal: AbortSignal): Promise<string> {
  const work = inspect.GraphDriver?.Data?.['WorkDir'];
  if (work !== undefined) return work;
  const { DockerRootDir } = await engine.info(signal);
  return join(DockerRootDir, 'containers', inspect.Id, STOOD_IN_FOR);
}

/** Moves each directory aside that is not there yet; durable on return. */
export async function closeGate(moves: readonly GateMove[]): Promise<void> {
  for (const { from, to } of moves) {
    if (basename(from) !== STOOD_IN_FOR) await moveOnce(from, to);
    else await standIn(from, to);
  }
}

/** Docker makes this directory anew, unless a file is in its place; before the first start there is none. */
async function standIn(from: string, to: string): Promise<void> {
  if (await isDirectory(from)) await moveOnce(from, to);
  await writeFile(from, `The container is not to be started here: see ${basename(to)}\n`, { flush: true });
  await syncDirectory(dirname(from));
}

/** Puts each directory back that stands aside, and leaves alone what does not; durable on return. */
export async function openGate(moves: readonly GateMove[]): Promise<void> {
  for (const { from, to } of moves) {
    if (basename(from) === STOOD_IN_FOR && !(await isDirectory(from))) await rm(from, { force: true });
    if (await isDirectory(to)) await moveOnce(to, from);
  }
}

/** Those that are still to be done: what stands aside already, or was removed with its container, is left out. */
export async function notAside(moves: readonly GateMove[]): Promise<GateMove[]> {
  const found: GateMove[] = [];
  for (const move of moves) {
    const [here, there] = [await isDirectory(move.from), await isDirectory(move.to)];
    const isGone = !here && !(await isDirectory(dirname(move.from)));
    if (!isGone && (here || !there)) found.push(move);
  }
  return found;
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
  await Promise.all([...new Set([dirname(to), dirname(from)])].map(syncDirectory));
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (thrown) {
    if (isMissing(thrown)) return false;
    throw thrown;
  }
}
