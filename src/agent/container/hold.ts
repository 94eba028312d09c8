import type { Engine } from '../docker/index.ts';
import type { MigrationRecord } from '../migrations/record.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { closeGate, notAside, openGate } from './gate.ts';
import type { LazyMounts } from './lazy-mounts.ts';
import { targetOf, updateTarget } from './records.ts';

/** Whether a container arrived here by a migration that isn't over: it may have been given up without this host's knowing. */
export function mayBeLost({ target }: MigrationRecord): boolean {
  return target !== null && target.gate.length > 0;
}

/**
 * Closes the gate of a container before Docker starts, so that neither a restart policy nor anybody's hand brings it up
 * before the server has said that this host is its home still. To be called only while Docker is down. One that had
 * been told to start is recorded first: it is let go by `letGo`, or fenced.
 */
export async function hold(
  record: MigrationRecord,
  update: (change: (record: MigrationRecord) => MigrationRecord) => Promise<unknown>,
): Promise<void> {
  const { target } = record;
  if (target === null) return;
  if (target.permit === 'used') {
    await update((known) => ({ ...known, target: known.target && { ...known.target, held: true } }));
  }
  await closeGate(await notAside(target.gate));
}

/**
 * The server's word has come: the gate opens, and the container starts if Docker, or somebody, tried to start it
 * meanwhile. Docker notes such a failure with the container, so its own rules (restart policy, stopped by hand) decide.
 * One that can't start now is tried again with the server's next word, or by whoever brings the data that follows it.
 */
export async function letGo(engine: Engine, lazy: LazyMounts, context: StepContext): Promise<void> {
  const { held, gate, permit, containerId } = targetOf(context);
  if (!held || permit !== 'used' || containerId === null) return;
  const inspect = await engine.findContainer(containerId, context.signal);
  if (inspect === null) return updateTarget(context, () => ({ held: false }));
  await lazy.protect(context);
  await openGate(gate);
  const wanted = !inspect.State.Running && inspect.State.Error !== '';
  if (lazy.follows(context)) await updateTarget(context, () => ({ held: false }));
  if (wanted) await engine.start(containerId, context.signal);
  await updateTarget(context, () => ({ held: false }));
  context.log.info({ container: inspect.Name, started: wanted }, 'the server says that this host is its home');
}
