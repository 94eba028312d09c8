import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { Base, ContainerDefinition } from '../../api/container-definition.ts';
import { reach } from '../../faults/reach.ts';
import { type ContainerInspect, type Engine, storeOf, syncStore } from '../docker/index.ts';
import { type EnsuredImage, ensureImage, type ImageLoads } from '../image/index.ts';
import { Serial } from '../migrations/serial.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { ensureAttached } from './attached.ts';
import { matchingBase, moveBaseIn } from './bases.ts';
import { refuseClaimed } from './claims.ts';
import { createBody } from './create-body.ts';
import { inspectOf, migrationMark } from './definition-parts.ts';
import { closeGate, stagedGate } from './gate.ts';
import { resolved } from './host-paths.ts';
import { ensureNetworks } from './networks.ts';
import { adding, definitionOf, emptyTarget, targetOf, undecidedTargets, updateTarget } from './records.ts';
import { shutDown } from './shut-down.ts';
import { ensureBindPath, ensureVolume } from './target-data.ts';

/** From looking whether a place is free until a container refers to it, no other migration may look, nor take it away. */
export const places = new Serial();

/**
 * Makes everything that the container needs on this host, and the container, and starts nothing. What is going to be
 * made is recorded before it is made; called again it finds what it made and makes the rest.
 */
export async function stage(
  engine: Engine,
  loads: ImageLoads,
  context: StepContext,
  input: StepInput<'stage'>,
): Promise<StepOutput<'stage'>> {
  const { definition, source, bases } = input;
  await context.update((record) => ({
    ...record,
    definition,
    peer: source,
    target: record.target ?? emptyTarget,
  }));
  if (targetOf(context).permit !== 'unused') {
    throw new CargoError('PERMIT_REFUSED', 'this migration was abandoned on the target host: begin a new one');
  }
  const image = await stageImage(engine, loads, context, definition);
  await reach('target.stage.image-loaded');
  const created = await places.run('places', () => occupy(engine, context, image, bases));
  await findMounts(context, definition, created, bases);
  const gate = await stagedGate(engine, created.Id, context);
  await updateTarget(context, () => ({ gate }));
  await closeGate(gate);
  const { State } = await engine.inspect(created.Id, context.signal);
  if (State.Running) {
    await shutDown(engine, created.Id, context);
    throw startedByHand(definition.name);
  }
  // Its layer and its configuration too: without a volume no round writes the disk out.
  await syncStore(await storeOf(engine, context.signal));
  return { containerId: created.Id, layersFetched: image.layersFetched, imageBytes: image.bytes };
}

function startedByHand(name: string): CargoError {
  const message = `${name} was started by hand on the target host while it was being made: migrate it again`;
  return new CargoError('MIGRATION_FAILED', message);
}

async function occupy(
  engine: Engine,
  context: StepContext,
  image: EnsuredImage,
  bases: readonly Base[],
): Promise<ContainerInspect> {
  const definition = definitionOf(context);
  context.signal.throwIfAborted();
  say(context, 'making networks and volumes');
  await refuseClaimed(engine, context, bases, temporaryName(definition.name, context.migrationId));
  await ensureNetworks(engine, context, definition);
  for (const mount of definition.mounts) {
    if (mount.kind === 'bind') await ensureBindPath(context, mount, bases);
    else if (!mount.anonymous) await ensureVolume(engine, context, mount, bases);
  }
  await ensureAttached(engine, context, definition);
  say(context, 'creating the container');
  return stageContainer(engine, context, definition, image);
}

async function stageImage(
  engine: Engine,
  loads: ImageLoads,
  context: StepContext,
  definition: ContainerDefinition,
): Promise<EnsuredImage> {
  say(context, 'loading the image');
  await shareImage(context, definition);
  return ensureImage(
    engine,
    loads,
    definition.image,
    {
      key: context.migrationId,
      fetch: (haveLayers, signal) => context.source().fetchImage(haveLayers, signal),
      willMake: (reference) =>
        updateTarget(context, (target) => ({ loadedImages: adding(target.loadedImages, reference) })),
      loaded: (bytes) => say(context, 'loading the image', bytes, definition.image.bytes),
    },
    context.signal,
  );
}

/** What another migration has loaded for itself: whoever of the two goes back last takes it away. */
async function shareImage(context: StepContext, { image }: ContainerDefinition): Promise<void> {
  const loaded = new Set(undecidedTargets(context).flatMap(({ loadedImages }) => loadedImages));
  for (const reference of [image.id, image.reference].filter((name) => loaded.has(name))) {
    await updateTarget(context, (target) => ({ loadedImages: adding(target.loadedImages, reference) }));
  }
}

/**
 * Docker gives the id only once the container exists, so it is created under a name that none but this migration uses:
 * a container that an earlier, interrupted call made is found by it.
 */
async function stageContainer(
  engine: Engine,
  context: StepContext,
  definition: ContainerDefinition,
  image: EnsuredImage,
): Promise<ContainerInspect> {
  const { signal } = context;
  const known = targetOf(context).containerId;
  const temporary = temporaryName(definition.name, context.migrationId);
  const existing = await engine.findContainer(known ?? temporary, signal);
  const id = existing?.Id ?? (await engine.createContainer(temporary, createBody(definition, image), signal));
  await reach('target.stage.created');
  const restartPolicy = inspectOf(definition).HostConfig.RestartPolicy ?? { Name: 'no' };
  await updateTarget(context, () => ({ containerId: id, restartPolicy }));
  if (existing?.Name !== `/${definition.name}`) await engine.rename(id, definition.name, signal);
  return engine.inspect(id, signal);
}

export function temporaryName(name: string, migrationId: string): string {
  return `${name}-arriving-${migrationMark(migrationId)}`;
}

/** Where each data mount is on this host; anonymous volumes that have a base here get their data back. */
async function findMounts(
  context: StepContext,
  definition: ContainerDefinition,
  created: ContainerInspect,
  bases: readonly Base[],
): Promise<void> {
  const mountPaths: { index: number; path: string }[] = [];
  for (const mount of definition.mounts) {
    const here = created.Mounts.find((candidate) => mount.destinations.includes(candidate.Destination));
    if (here === undefined) {
      throw new CargoError('DOCKER_ERROR', `the new container has nothing mounted at ${mount.destinations.join(', ')}`);
    }
    const path = mount.kind === 'bind' ? await resolved(mount.name) : here.Source;
    mountPaths.push({ index: mount.index, path });
    const base = mount.anonymous ? await matchingBase(mount, definition.name, bases) : null;
    if (base !== null) await moveBaseIn(context, base, path);
  }
  await updateTarget(context, () => ({ mountPaths }));
}

function say(context: StepContext, activity: string, bytesDone = 0, bytesTotal = 0): void {
  context.report({ activity, filesDone: 0, filesTotal: 0, bytesDone, bytesTotal });
}
