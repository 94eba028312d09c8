import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { Base, ContainerDefinition } from '../../api/container-definition.ts';
import { reach } from '../../faults/reach.ts';
import { type ContainerInspect, DEFAULT_STOP_SECONDS, type Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { baseOf } from './bases.ts';
import { movedName } from './definition-parts.ts';
import { closeGate, gateMoves } from './gate.ts';
import { definitionOf, type Frozen, updateSource } from './records.ts';
import { usedByOthers } from './sharing.ts';
import { thawContainer } from './thaw.ts';

const STOP_GRACE_MS = 60_000;
const ENDLESS_STOP_MS = 3_600_000;
const SIGKILL_EXIT = 137;

/**
 * Stops the source container for good: restart policy off, stopped with its own signal and patience, renamed, gated.
 * What is going to be done is recorded as a whole before any of it is done; called again it does what is missing.
 */
export async function freeze(
  engine: Engine,
  context: StepContext,
  input: StepInput<'freeze'>,
): Promise<StepOutput<'freeze'>> {
  const definition = definitionOf(context);
  const frozen = context.record().source?.frozen ?? (await plan(engine, context, definition, input.movedTo));
  const { signal } = context;
  await engine.setRestartPolicy(frozen.containerId, { Name: 'no' }, signal);

  await updateSource(context, { frozen: { ...frozen, stopping: true } });
  const began = performance.now();
  const stopped = await stop(engine, frozen.containerId, signal);
  const stopMs = performance.now() - began;
  await reach('source.freeze.stopped');
  const forced = frozen.wasRunning && wasKilled(stopped);
  if (forced && !input.force) {
    await thawContainer(engine, frozen, signal);
    await updateSource(context, { frozen: null });
    throw new CargoError('MIGRATION_FAILED', notStopping(definition.name, stopped));
  }

  if (stopped.Name !== `/${frozen.movedAs}`) await engine.rename(frozen.containerId, frozen.movedAs, signal);
  await reach('source.freeze.renamed');
  await closeGate(frozen.movedAside);
  // Somebody may have started it by hand before the gate was closed; from now on nobody can.
  await stop(engine, frozen.containerId, signal);
  const exitCode = frozen.wasRunning ? stopped.State.ExitCode : null;
  const bases = basesOf(definition, frozen, context.migrationId);
  return { movedAs: frozen.movedAs, exitCode, forced, stopMs, bases };
}

/** Checks that the container is still the one that was described, and records what freezing it means. */
async function plan(
  engine: Engine,
  context: StepContext,
  definition: ContainerDefinition,
  movedTo: string,
): Promise<Frozen> {
  const inspect = await engine.inspect(definition.id, context.signal);
  if (inspect.State.Running !== definition.running) {
    const now = inspect.State.Running ? 'runs now' : `stopped by itself (exit code ${inspect.State.ExitCode})`;
    throw new CargoError(
      'MIGRATION_FAILED',
      `container ${definition.name} ${now}: nothing was moved; migrate it again`,
    );
  }
  const sharing = await usedByOthers(engine, definition, context.signal);
  const blocker = sharing.find((finding) => finding.level === 'blocker');
  if (blocker !== undefined) throw new CargoError('BLOCKED', blocker.message, { details: { findings: [blocker] } });
  const goneTo = { host: movedTo, migrationId: context.migrationId };
  const frozen: Frozen = {
    containerId: inspect.Id,
    wasRunning: inspect.State.Running,
    originalName: definition.name,
    startedAt: inspect.State.StartedAt,
    stopping: false,
    movedAs: movedName(definition.name, inspect.Id),
    restartPolicy: inspect.HostConfig.RestartPolicy ?? { Name: 'no' },
    movedAside: await gateMoves(engine, definition, inspect, goneTo, context.signal),
  };
  await updateSource(context, { frozen });
  return frozen;
}

async function stop(engine: Engine, id: string, signal: AbortSignal): Promise<ContainerInspect> {
  const inspect = await engine.inspect(id, signal);
  if (!inspect.State.Running) return inspect;
  const seconds = inspect.Config.StopTimeout ?? DEFAULT_STOP_SECONDS;
  const limitMs = seconds < 0 ? ENDLESS_STOP_MS : seconds * 1000 + STOP_GRACE_MS;
  await engine.stop(id, { limitMs, signal });
  return engine.inspect(id, signal);
}

/** True where SIGKILL ended it although it had asked for another signal. */
function wasKilled({ State, Config }: ContainerInspect): boolean {
  return State.ExitCode === SIGKILL_EXIT && !/^(SIG)?KILL$|^9$/i.test(Config.StopSignal ?? '');
}

function notStopping(name: string, { Config }: ContainerInspect): string {
  const seconds = Config.StopTimeout ?? DEFAULT_STOP_SECONDS;
  const signalName = Config.StopSignal ?? 'SIGTERM';
  return (
    `container ${name} did not stop within ${seconds} s of ${signalName} and had to be killed, so its data may not be ` +
    `in order; it runs on the source host again. Give it a longer stop timeout, or migrate with force.`
  );
}

/** Where each data mount stands now: volumes aside, bind mounts in their place. */
function basesOf(definition: ContainerDefinition, frozen: Frozen, migrationId: string): Base[] {
  return definition.mounts.map((mount) => {
    const dataPath = frozen.movedAside.find((move) => move.from === mount.path)?.to ?? mount.path;
    return baseOf(mount, { dataPath, migrationId, containerId: definition.id, containerName: definition.name });
  });
}
