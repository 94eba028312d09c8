import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { CellResult } from './run-cell.ts';

const root = join(import.meta.dirname, '..');
const file = join(root, 'dist/faults.json');
/** What docs/faults.md was made of: a later run adds to it. */
const record = join(root, 'docs/faults.json');
const folders = ['src', 'lab', 'faults', 'bin', 'demo'];

/** Of which code results are. `commit` with a + where files were changed since. */
const Run = z.object({ code: z.string(), commit: z.string(), date: z.string(), versions: z.string() });
export type Run = z.infer<typeof Run>;

/** `caught`: what the checker said of the code without that protection; null when it noticed nothing. */
const ControlResult = z.object({ name: z.string(), caught: z.string().nullable() });
export type ControlResult = z.infer<typeof ControlResult>;

const ofCode = { code: z.string() };
const KeptCell = CellResult.extend(ofCode);
export type KeptCell = z.infer<typeof KeptCell>;
const KeptControl = ControlResult.extend(ofCode);
export type KeptControl = z.infer<typeof KeptControl>;

const Kept = z.object({
  runs: z.array(Run),
  reached: z.array(z.string()),
  results: z.array(KeptCell),
  controls: z.array(KeptControl),
});
type Kept = z.infer<typeof Kept>;

/**
 * What runs have found so far, each result with the code that it is of: a run that was interrupted goes on where the code
 * is the same, and the page tells what it has of older code. Two runs may add to it, in labs of their own.
 */
export class Results {
  readonly #run: Run = { code: hashOfCode(), commit: commitNow(), date: today(), versions: '' };
  readonly #runs = new Map<string, Run>();
  readonly #results = new Map<string, KeptCell>();
  readonly #controls = new Map<string, KeptControl>();
  readonly reached = new Set<string>();

  static load(): Results {
    const loaded = new Results();
    loaded.#take();
    return loaded;
  }

  /** What this code was found to do there; undefined where only older code was put to it. */
  find(cell: string): CellResult | undefined {
    const result = this.#results.get(cell);
    return result?.code === this.#run.code ? result : undefined;
  }

  all(): KeptCell[] {
    return [...this.#results.values()];
  }

  get runs(): Run[] {
    return [...this.#runs.values()];
  }

  add(result: CellResult, reached: Iterable<string>, versions: string): void {
    this.#take();
    this.#results.set(result.cell, { ...result, code: this.#run.code });
    for (const point of reached) this.reached.add(point);
    this.#keep(versions);
  }

  allControls(): KeptControl[] {
    return [...this.#controls.values()];
  }

  /** Of this code. */
  get controls(): ControlResult[] {
    return this.allControls().filter(({ code }) => code === this.#run.code);
  }

  addControl(result: ControlResult): void {
    this.#take();
    this.#controls.set(result.name, { ...result, code: this.#run.code });
    this.#keep('');
  }

  /** Puts what the page is made of beside it. */
  writeRecord(): void {
    write(record, this.#kept());
  }

  /** What is kept by now, by another run too. */
  #take(): void {
    for (const path of [record, file].filter((candidate) => existsSync(candidate))) {
      const kept = Kept.safeParse(JSON.parse(readFileSync(path, 'utf8')));
      if (!kept.success) continue; // of a format that is no more
      for (const run of kept.data.runs) this.#runs.set(run.code, run);
      for (const result of kept.data.results) this.#results.set(result.cell, result);
      for (const point of kept.data.reached) this.reached.add(point);
      for (const control of kept.data.controls) this.#controls.set(control.name, control);
    }
  }

  #keep(versions: string): void {
    const known = this.#runs.get(this.#run.code);
    this.#runs.set(this.#run.code, { ...this.#run, versions: versions || (known?.versions ?? '') });
    write(file, this.#kept());
  }

  #kept(): Kept {
    const results = this.all();
    const controls = this.allControls();
    const used = new Set([...results, ...controls].map(({ code }) => code));
    const runs = this.runs.filter(({ code }) => used.has(code));
    return { runs, reached: [...this.reached].sort(), results, controls };
  }
}

function write(path: string, kept: Kept): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${process.pid}.new`, `${JSON.stringify(kept, null, 1)}\n`);
  renameSync(`${path}.${process.pid}.new`, path);
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** A copy of the code, as a control's, is of no commit. */
function commitNow(): string {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
    const changed = git('status', '--porcelain', '--', ...folders);
    return `${git('rev-parse', '--short=7', 'HEAD')}${changed === '' ? '' : '+'}`;
  } catch {
    return 'none';
  }
}

function hashOfCode(): string {
  const hash = createHash('sha256');
  for (const name of globSync(`{${folders.join(',')}}/**/*`, { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()) {
    hash.update(relative(root, name)).update(readFileSync(name));
  }
  return hash.digest('hex');
}
