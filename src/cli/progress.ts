import type { Migration } from '../api/migration.ts';
import { hydrationSummary } from './hydration-text.ts';
import { formatBytes, formatRate, formatSeconds } from './quantity.ts';
import { printable } from './table.ts';
import type { Terminal } from './terminal.ts';

const BAR_WIDTH = 20;
const DEFAULT_COLUMNS = 80;
const LINE_EVERY_MS = 5_000;
/** Carriage return, then ECMA-48 "erase in line". */
const START_OF_LINE = '\r\x1b[K';

/** Shows a migration as it goes; `end` leaves the cursor on a line of its own. */
export interface Progress {
  update(migration: Migration): void;
  end(): void;
}

/** A bar that stays on its line on a terminal, plain lines elsewhere. */
export function watchProgress(stream: Terminal['stdout'], now: () => number = Date.now): Progress {
  return stream.isTTY === true ? new Bar(stream) : new Lines(stream, now);
}

/** One line for each phase on a terminal, silence elsewhere. */
export function briefProgress(stream: Terminal['stdout']): Progress {
  return stream.isTTY === true ? new PhaseLines(stream) : { update: () => undefined, end: () => undefined };
}

class Bar implements Progress {
  readonly #stream: Terminal['stdout'];
  #shown = false;

  constructor(stream: Terminal['stdout']) {
    this.#stream = stream;
  }

  update(migration: Migration): void {
    const line = `${migration.phase.padEnd(9)} [${bar(fraction(migration))}] ${amounts(migration)}`;
    // a line that wraps could not be erased again; a terminal that does not know its width says 0
    this.#stream.write(START_OF_LINE + printable(line).slice(0, (this.#stream.columns || DEFAULT_COLUMNS) - 1));
    this.#shown = true;
  }

  end(): void {
    if (this.#shown) this.#stream.write('\n');
    this.#shown = false;
  }
}

class Lines implements Progress {
  readonly #stream: Terminal['stdout'];
  readonly #now: () => number;
  #phase = '';
  #tenth = 0;
  #at = 0;
  #last = '';

  constructor(stream: Terminal['stdout'], now: () => number) {
    this.#stream = stream;
    this.#now = now;
  }

  update(migration: Migration): void {
    const tenth = Math.floor(fraction(migration) * 10);
    const due = this.#now() - this.#at >= LINE_EVERY_MS;
    const line = `${migration.phase}: ${amounts(migration)}`;
    const changed = migration.phase !== this.#phase || tenth !== this.#tenth;
    if (!changed && !(due && line !== this.#last)) return;
    this.#stream.write(`${printable(line)}\n`);
    this.#phase = migration.phase;
    this.#tenth = tenth;
    this.#at = this.#now();
    this.#last = line;
  }

  end(): void {}
}

class PhaseLines implements Progress {
  readonly #stream: Terminal['stdout'];
  #phase = '';

  constructor(stream: Terminal['stdout']) {
    this.#stream = stream;
  }

  update({ phase, activity }: Migration): void {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#stream.write(`${printable(activity === '' ? phase : `${phase}: ${activity}`)}\n`);
  }

  end(): void {}
}

/** Of the bytes; of the files where there are no bytes. 0 to 1. */
export function fraction({ bytes, files }: Migration): number {
  const { local, total } = bytes.total > 0 ? bytes : files;
  return total > 0 ? Math.min(1, Math.max(0, local / total)) : 0;
}

function bar(part: number): string {
  const full = Math.round(part * BAR_WIDTH);
  return '#'.repeat(full) + '-'.repeat(BAR_WIDTH - full);
}

function amounts(migration: Migration): string {
  const { files, bytes, rate, etaSeconds, activity } = migration;
  return [
    `${Math.floor(fraction(migration) * 100)}%`,
    `${files.local}/${files.total} files`,
    `${formatBytes(bytes.local)}/${formatBytes(bytes.total)}`,
    rate === null ? '' : formatRate(rate),
    etaSeconds === null ? '' : `ETA ${formatSeconds(etaSeconds)}`,
    ...hydrationSummary(migration),
    activity,
  ]
    .filter((part) => part !== '')
    .join('  ');
}
