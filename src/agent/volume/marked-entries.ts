import type { BaseTree } from './base-tree.ts';
import { BlockCursor } from './block-cursor.ts';
import { DIRECTORY } from './format.ts';
import { RecordView } from './record.ts';
import { ROOT } from './tree.ts';

/** Some entries of a tree, and all directories that lead to them: by directory, as offsets of records. */
export class MarkedEntries {
  readonly #base: BaseTree;
  readonly #marks = new Map<number, Set<number>>([[ROOT, new Set()]]);

  constructor(base: BaseTree) {
    this.#base = base;
  }

  /** Marks an entry and the way to it. */
  add(entry: number): void {
    for (let at = entry; at !== ROOT; ) {
      const directory = this.#base.directoryOf(at);
      const marks = this.#marks.get(directory);
      if (marks?.has(at)) return;
      if (marks === undefined) this.#marks.set(directory, new Set([at]));
      else marks.add(at);
      at = directory;
    }
  }

  /** A directory's own mark and all that is below it, except below directories that `isElsewhere`. */
  addAllBelow(directory: number, isElsewhere: (directory: RecordView) => boolean): void {
    const below = [directory];
    const view = new RecordView();
    for (let at = below.pop(); at !== undefined; at = below.pop()) {
      this.add(at);
      for (const cursor = new BlockCursor(this.#base.file, at); cursor.next(view); ) {
        this.add(view.offset);
        if (view.type === DIRECTORY && !isElsewhere(view)) below.push(view.offset);
      }
    }
  }

  has(directory: number, entry: number): boolean {
    return this.#marks.get(directory)?.has(entry) === true;
  }

  /** In the order of the records, which is that of the names. */
  of(directory: number): number[] {
    return [...(this.#marks.get(directory) ?? [])].sort((a, b) => a - b);
  }
}
