import type { CargoError } from '../../api/cargo-error.ts';
import type { Migration } from '../../api/migration.ts';

/** How an activity begins that is none. */
export const WAITING = 'waiting: ';

/** The record of the migration, as far as it is needed here. */
type Shown = { get: () => Promise<Pick<Migration, 'activity'>>; note: (activity: string) => Promise<void> };

/**
 * What a step waits for is shown as the activity, and only while it does: then what was shown before is shown again.
 * Written one after the other, and for people alone: what can't be written is left out.
 */
export class Waiting {
  readonly #record: Shown;
  readonly #isQuiet: boolean;
  /** What was shown before; null while nothing is waited for. */
  #before: string | null = null;
  #shown = '';
  #last: Promise<void> = Promise.resolve();

  constructor(record: Shown, isQuiet: boolean) {
    this.#record = record;
    this.#isQuiet = isQuiet;
  }

  show({ message }: CargoError): void {
    const text = WAITING + message;
    if (this.#isQuiet || this.#shown === text) return;
    this.#shown = text;
    this.#queue(async () => {
      const { activity } = await this.#record.get();
      this.#before ??= activity;
      await this.#record.note(text);
    });
  }

  /** Leaves alone what somebody else has said meanwhile. */
  end(): void {
    const shown = this.#shown;
    this.#shown = '';
    if (shown === '') return;
    this.#queue(async () => {
      const before = this.#before;
      this.#before = null;
      if (before !== null && (await this.#record.get()).activity === shown) await this.#record.note(before);
    });
  }

  /** Resolves once all of it is written. */
  written(): Promise<void> {
    return this.#last;
  }

  #queue(write: () => Promise<void>): void {
    this.#last = this.#last.then(write).catch(() => undefined);
  }
}
