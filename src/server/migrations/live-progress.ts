import type { StepProgress } from '../../api/agent-steps.ts';
import type { Migration } from '../../api/migration.ts';

const WINDOW_MS = 5_000;

/** Progress of the step that runs now. It is held in memory: after a crash the agents tell it anew. */
export class LiveProgress {
  readonly #now: () => number;
  #samples: { atMs: number; bytes: number }[] = [];
  #progress: StepProgress | null = null;
  #isLost = false;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  record(progress: StepProgress): void {
    const atMs = this.#now();
    const last = this.#samples.at(-1);
    if (last !== undefined && progress.bytesDone < last.bytes) this.#samples = [];
    this.#samples.push({ atMs, bytes: progress.bytesDone });
    this.#samples = this.#samples.filter((sample) => atMs - sample.atMs <= WINDOW_MS);
    this.#progress = progress;
    this.#isLost = false;
  }

  /** Nothing is heard any more. What was missing of data that follows is missing still, until something else is heard. */
  lose(): void {
    if (this.#progress?.hydration === undefined) this.clear();
    this.#samples = [];
    this.#isLost = true;
  }

  clear(): void {
    this.#samples = [];
    this.#progress = null;
  }

  /** The record with what is known of the running step. A round's remainder is what isn't local yet. */
  overlay(migration: Migration): Migration {
    const progress = this.#progress;
    if (progress === null) return migration;
    const rate = this.#rate();
    const filesLeft = progress.filesTotal - progress.filesDone;
    const bytesLeft = progress.bytesTotal - progress.bytesDone;
    return {
      ...migration,
      activity: this.#isLost ? migration.activity : progress.activity,
      files: amount(Math.max(migration.files.total, progress.filesTotal), filesLeft),
      bytes: amount(Math.max(migration.bytes.total, progress.bytesTotal), bytesLeft),
      rate,
      etaSeconds: rate === null || rate === 0 ? null : Math.round(bytesLeft / rate),
      hydration: progress.hydration ?? migration.hydration,
    };
  }

  #rate(): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs === first.atMs) return null;
    return Math.round(((last.bytes - first.bytes) * 1000) / (last.atMs - first.atMs));
  }
}

function amount(total: number, left: number): Migration['files'] {
  const local = Math.max(0, total - Math.max(0, left));
  return { total, local, verified: local };
}
