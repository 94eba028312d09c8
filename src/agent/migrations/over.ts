import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { readIfThere, syncDirectory } from '../../files/durable-file.ts';
import { type MigrationRecord, StepOutcome } from './record.ts';

/** What came of the steps that ended a migration here: the only ones that are still answered. */
const Ended = z.object({ id: z.string(), outcomes: z.record(z.string(), StepOutcome) });
type Outcomes = z.infer<typeof Ended>['outcomes'];

const ending = /^(thaw|refuse|abandon|fence|finish|release(-[a-z]+)?)$/;

/**
 * The migrations that are over on this host, for ever: one line each in a file of its own. A command for one of them
 * that was held up on its way, however long, must not begin it anew.
 */
export class OverList {
  readonly #path: string;
  readonly #ended: Map<string, Outcomes>;

  private constructor(path: string, ended: Map<string, Outcomes>) {
    this.#path = path;
    this.#ended = ended;
  }

  /** A line that a power cut or a full disk left unfinished was never relied upon. */
  static async open(path: string): Promise<OverList> {
    const text = (await readIfThere(path)) ?? '';
    return new OverList(path, new Map(text.split('\n').flatMap(parseLine)));
  }

  /** null for a migration that isn't over. */
  outcomes(id: string): Outcomes | null {
    return this.#ended.get(id) ?? null;
  }

  /** Durable on return. */
  async add({ id, outcomes }: MigrationRecord): Promise<void> {
    if (this.#ended.has(id)) return;
    const kept = Object.entries(outcomes).filter(([key, { state }]) => state === 'done' && ending.test(key));
    const line = { id, outcomes: Object.fromEntries(kept) };
    {
      await using file = await open(this.#path, 'a', 0o600);
      // It begins a line of its own, whatever an unfinished one left.
      await file.writeFile(`\n${JSON.stringify(line)}\n`);
      await file.sync();
    }
    await syncDirectory(dirname(this.#path));
    this.#ended.set(id, line.outcomes);
  }
}

function parseLine(line: string): [string, Outcomes][] {
  try {
    const { id, outcomes } = Ended.parse(JSON.parse(line));
    return [[id, outcomes]];
  } catch {
    return [];
  }
}
