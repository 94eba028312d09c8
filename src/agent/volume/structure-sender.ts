import { ADDED, ADDED_AGAIN, type Comparison, type DirectoryPair, KEPT, NONE, STASHED, TOUCHED } from './comparison.ts';
import { DIRECTORY } from './format.ts';
import type { OpWriter } from './op-writer.ts';
import { ops } from './ops.ts';
import type { RecordView } from './record.ts';

/** Steps 1 and 2 of a comparison: names go and come, contents stay. */
export class StructureSender {
  readonly #comparison: Comparison;
  readonly #writer: OpWriter;
  readonly #poll: () => void;

  constructor(comparison: Comparison, writer: OpWriter, poll: () => void) {
    this.#comparison = comparison;
    this.#writer = writer;
    this.#poll = poll;
  }

  /** Step 1, bottom-up: a directory's entries go after those of its subdirectories. */
  cutEdges(): void {
    const comparison = this.#comparison;
    comparison.walkBefore({
      enter: (pair) => this.#enter(comparison.viewBefore(pair.before)),
      leave: (pair) => {
        comparison.mergeEntries(pair, (before, after) => {
          this.#poll();
          if (before === null) return;
          if (comparison.isKept(before, after)) this.#anchorIfNeeded(before);
          else this.#cut(before, pair);
        });
        this.#leave(comparison.viewBefore(pair.before));
      },
    });
  }

  /** Step 2, top-down. */
  placeEdges(): void {
    const comparison = this.#comparison;
    comparison.walkAfter({
      enter: (pair) => {
        this.#enter(comparison.viewAfter(pair.after));
        this.placeEntries(pair);
      },
      leave: (pair) => this.#leave(comparison.viewAfter(pair.after)),
    });
  }

  /** The directories and stashed inodes of one directory; the writer is in it. */
  placeEntries(pair: DirectoryPair): void {
    const comparison = this.#comparison;
    comparison.mergeEntries(pair, (before, after) => {
      if (after === null || comparison.isKept(before, after)) return;
      const slot = comparison.slotAfter(after);
      if (comparison.partnerOf(slot) !== NONE) this.#placeStashed(after, slot);
      else if (after.type === DIRECTORY) this.#writer.makeDirectory(after.name);
      else return;
      this.#touch(pair.after);
    });
  }

  #placeStashed(after: RecordView, slot: number): void {
    const { index } = this.#comparison.after;
    const marks = index.marksOf(slot);
    const isOnlyName = (marks & STASHED) !== 0 && (marks & ADDED_AGAIN) === 0;
    this.#writer.stashed(isOnlyName ? ops.take : ops.link, after.name, slot);
    if (after.type === DIRECTORY) index.mark(slot, TOUCHED);
  }

  #anchorIfNeeded(before: RecordView): void {
    const { index } = this.#comparison.after;
    const slot = this.#comparison.successorOf(before);
    const marks = index.marksOf(slot);
    if ((marks & ADDED) === 0 || (marks & STASHED) !== 0) return;
    this.#writer.stashed(ops.anchor, before.name, slot);
    // An anchored inode keeps its names: its new ones are links, which ADDED_AGAIN says.
    index.mark(slot, STASHED | ADDED_AGAIN);
  }

  #cut(before: RecordView, pair: DirectoryPair): void {
    const { index } = this.#comparison.after;
    const slot = this.#comparison.successorOf(before);
    const marks = slot < 0 ? 0 : index.marksOf(slot);
    const isNeeded = slot >= 0 && (marks & (KEPT | STASHED)) === 0;
    if (isNeeded) {
      this.#writer.stashed(ops.stash, before.name, slot);
      index.mark(slot, STASHED);
    } else {
      this.#writer.remove(before.type === DIRECTORY ? ops.rmdir : ops.unlink, before.name);
    }
    if (pair.after !== NONE) this.#touch(pair.after);
  }

  #touch(directory: number): void {
    const slot = this.#comparison.slotAfter(this.#comparison.viewAfter(directory));
    this.#comparison.after.index.mark(slot, TOUCHED);
  }

  #enter(directory: RecordView): void {
    if (directory.nameLength > 0) this.#writer.enter(directory.name);
  }

  #leave(directory: RecordView): void {
    if (directory.nameLength > 0) this.#writer.leave();
  }
}
