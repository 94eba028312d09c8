import type { VolumeHydration } from '../../api/migration.ts';
import type { LazyStatus } from '../lazy/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import type { LazyMount } from './lazy-mount.ts';

const SHORTEST_LOOK_MS = 50;

/** When all will be here if it goes on as since the last look. */
export class Eta {
  #last = { missing: 0, at: performance.now() };

  /** Milliseconds from now. */
  next(missing: number): number {
    const at = performance.now();
    const came = this.#last.missing - missing;
    const milliseconds = came > 0 ? (missing * (at - this.#last.at)) / came : Number.POSITIVE_INFINITY;
    this.#last = { missing, at };
    return missing === 0 ? SHORTEST_LOOK_MS : Math.max(SHORTEST_LOOK_MS, milliseconds);
  }
}

/** Says how much of the data is here. */
export function tell(context: StepContext, mounts: readonly LazyMount[], statuses: readonly LazyStatus[]): void {
  const hydration = statuses.map((status, at): VolumeHydration => {
    const { files, filesDone, bytesMissing, bytesFetched, waiting, waits, denied, p50Ms, p99Ms, trouble } = status;
    return {
      ...{ files, bytesMissing, bytesFetched, waiting, waits, denied, p50Ms, p99Ms, trouble },
      name: mounts[at]?.mount.name ?? '',
      filesMissing: files - filesDone,
      sourceAway: status.sourceAway?.reason ?? null,
    };
  });
  const total = (of: (volume: VolumeHydration) => number): number => hydration.reduce((sum, one) => sum + of(one), 0);
  const away = hydration.find(({ sourceAway }) => sourceAway !== null)?.sourceAway;
  context.report({
    activity:
      away === undefined
        ? 'the container runs at the target; its data follows'
        : `the container runs at the target; the source can't be reached, what is missing is waited for: ${away}`,
    filesDone: total(({ files, filesMissing }) => files - filesMissing),
    filesTotal: total(({ files }) => files),
    bytesDone: total(({ bytesFetched }) => bytesFetched),
    bytesTotal: total(({ bytesFetched, bytesMissing }) => bytesFetched + bytesMissing),
    hydration,
  });
}
