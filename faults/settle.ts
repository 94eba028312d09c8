import { waitUntil } from '../lab/index.ts';
import { CargoError } from '../src/api/cargo-error.ts';
import { Migration, type Phase } from '../src/api/migration.ts';
import type { FaultLab } from './fault-lab.ts';

const SETTLED_MS = 300_000;

const settledPhases: readonly Phase[] = ['copied', 'completed', 'rolled-back', 'failed', 'recovered'];

/** The migration when it goes no further by itself. */
export async function settle(bench: FaultLab, id: string, limitMs = SETTLED_MS): Promise<Migration> {
  let last = 'nothing was heard of it';
  const look = async (): Promise<Migration | undefined> => {
    const migration = await bench.server('GET', `/v1/migrations/${id}`).then(
      (answer) => Migration.parse(answer),
      () => undefined, // the server is away: that is what is tested
    );
    if (migration !== undefined) last = `${migration.phase}, ${migration.activity}`;
    return migration !== undefined && settledPhases.includes(migration.phase) ? migration : undefined;
  };
  return waitUntil('the migration has ended', limitMs, look, 100).catch((error: Error) => {
    throw new Error(`${error.message} (${last})`);
  });
}

/** As an operator would: again and again until it is done. */
export async function complete(bench: FaultLab, id: string, cleanup: boolean): Promise<Migration> {
  let last: unknown;
  const call = async (): Promise<Migration | undefined> => {
    try {
      return Migration.parse(await bench.server('POST', `/v1/migrations/${id}/failover`, { cleanup }));
    } catch (error) {
      last = error;
      if (error instanceof CargoError && !error.handling.retry) throw error;
      return undefined;
    }
  };
  return waitUntil('the migration is completed', SETTLED_MS, call, 200).catch((error: Error) => {
    throw new Error(`${error.message}: ${last instanceof Error ? last.message : ''}`);
  });
}
