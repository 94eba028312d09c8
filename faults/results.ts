import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { CellResult } from './run-cell.ts';

const root = join(import.meta.dirname, '..');
const file = join(root, 'dist/faults.json');

/** `caught`: what the checker said of the code without that protection; null when it noticed nothing. */
const ControlResult = z.object({ name: z.string(), caught: z.string().nullable() });
export type ControlResult = z.infer<typeof ControlResult>;

const Kept = z.object({
  code: z.string(),
  versions: z.string(),
  reached: z.array(z.string()),
  results: z.array(CellResult),
  controls: z.array(ControlResult),
});

/** What runs have found so far for the code as it is now: a run that was interrupted goes on there. */
export class Results {
  readonly #code = hashOfCode();
  readonly #results = new Map<string, CellResult>();
  readonly #controls = new Map<string, ControlResult>();
  readonly reached = new Set<string>();
  /** Of what took part. */
  versions = '';

  static load(): Results {
    const loaded = new Results();
    if (!existsSync(file)) return loaded;
    const kept = Kept.safeParse(JSON.parse(readFileSync(file, 'utf8')));
    if (!kept.success || kept.data.code !== loaded.#code) return loaded;
    for (const result of kept.data.results) loaded.#results.set(result.cell, result);
    loaded.versions = kept.data.versions;
    for (const point of kept.data.reached) loaded.reached.add(point);
    for (const control of kept.data.controls) loaded.#controls.set(control.name, control);
    return loaded;
  }

  find(cell: string): CellResult | undefined {
    return this.#results.get(cell);
  }

  all(): CellResult[] {
    return [...this.#results.values()];
  }

  add(result: CellResult, reached: Iterable<string>): void {
    this.#results.set(result.cell, result);
    for (const point of reached) this.reached.add(point);
    this.#keep();
  }

  get controls(): ControlResult[] {
    return [...this.#controls.values()];
  }

  addControl(result: ControlResult): void {
    this.#controls.set(result.name, result);
    this.#keep();
  }

  #keep(): void {
    const { versions, controls } = this;
    const kept = { code: this.#code, versions, reached: [...this.reached], results: this.all(), controls };
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, JSON.stringify(kept));
    renameSync(`${file}.new`, file);
  }
}

function hashOfCode(): string {
  const hash = createHash('sha256');
  for (const name of globSync('{src,lab,faults,bin,demo}/**/*', { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()) {
    hash.update(relative(root, name)).update(readFileSync(name));
  }
  return hash.digest('hex');
}
