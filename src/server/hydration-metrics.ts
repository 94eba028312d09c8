import { Gauge, type Registry } from 'prom-client';
import type { Migration, VolumeHydration } from '../api/migration.ts';

type Labels = 'container' | 'target';
type Figure = { name: string; help: string; of: (migration: Migration) => number };

/** Of each migration whose data follows. A container's name is unique on its target. */
const figures: readonly Figure[] = [
  {
    name: 'cargo_hydration_missing_bytes',
    help: 'Bytes that are at the source alone.',
    of: sum(({ bytesMissing }) => bytesMissing),
  },
  {
    name: 'cargo_hydration_missing_files',
    help: 'Files of which something is at the source alone.',
    of: sum(({ filesMissing }) => filesMissing),
  },
  {
    name: 'cargo_hydration_waits',
    help: 'Accesses that had to wait for data, since the hydrator started.',
    of: sum(({ waits }) => waits),
  },
  {
    name: 'cargo_hydration_waiting',
    help: 'Accesses that wait for data right now.',
    of: sum(({ waiting }) => waiting),
  },
  {
    name: 'cargo_hydration_denied',
    help: 'Accesses that were answered with EIO, since the hydrator started.',
    of: sum(({ denied }) => denied),
  },
  {
    name: 'cargo_hydration_wait_p99_seconds',
    help: '99th percentile of the waits, of the slowest volume.',
    of: ({ hydration }) => Math.max(0, ...hydration.map(({ p99Ms }) => p99Ms ?? 0)) / 1000,
  },
  {
    name: 'cargo_hydration_source_away',
    help: '1 while the source cannot be reached.',
    of: ({ hydration }) => Number(hydration.some(({ sourceAway }) => sourceAway !== null)),
  },
  {
    name: 'cargo_hydration_paused',
    help: '1 while the background copy rests.',
    of: ({ paused }) => Number(paused),
  },
];

/** Gauges that are read together: one look at the migrations sets them all. */
export class HydrationMetrics {
  readonly #gauges: readonly { gauge: Gauge<Labels>; of: Figure['of'] }[];

  constructor(registers: Registry[]) {
    this.#gauges = figures.map(({ name, help, of }) => ({
      gauge: new Gauge({ name, help, labelNames: ['container', 'target'], registers }),
      of,
    }));
  }

  set(hydrating: readonly Migration[]): void {
    for (const { gauge, of } of this.#gauges) {
      gauge.reset();
      for (const migration of hydrating) {
        const { container, target, hydration } = migration;
        // Not heard of yet is not the same as nothing missing.
        if (hydration.length > 0) gauge.set({ container, target }, of(migration));
      }
    }
  }
}

function sum(of: (volume: VolumeHydration) => number): (migration: Migration) => number {
  return ({ hydration }) => hydration.reduce((so, volume) => so + of(volume), 0);
}
