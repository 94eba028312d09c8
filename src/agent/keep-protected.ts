import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { CargoError } from '../api/cargo-error.ts';
import type { ContainerModule } from './container/module.ts';
import type { MigrationRecord } from './migrations/record.ts';
import type { RecordStore } from './migrations/record-store.ts';
import type { StepRunner } from './migrations/step-runner.ts';

const LOOK_MS = 1_000;

/**
 * Until the signal aborts: sees to it that data which follows is protected, whatever becomes of its hydrators, and though the
 * server that asks for it may be away. Where a step runs, it does so itself.
 */
export async function keepAllProtected(
  {
    records,
    steps,
    container,
    log,
  }: { records: RecordStore; steps: StepRunner; container: ContainerModule; log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const awake = new Set<string>();
  const complaints = new Map<string, string>();
  const look = async ({ id }: MigrationRecord): Promise<void> => {
    try {
      await steps.whenIdle(id, async (context) => {
        if (!awake.has(id) && !(await container.wake(context))) awake.add(id);
        else await container.keepProtected(context);
      });
      complaints.delete(id);
    } catch (thrown) {
      const { code, message } = CargoError.from(thrown);
      if (signal.aborted || complaints.get(id) === message) return;
      complaints.set(id, message);
      log.warn({ migration: id, code, err: thrown }, 'data that follows a container could not be protected');
    }
  };
  while (!signal.aborted) {
    await Promise.all(records.whole().filter(follows).map(look));
    await delay(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

function follows({ target }: MigrationRecord): boolean {
  return target !== null && target.lazy.length > 0 && !target.held;
}
