/**
 * What must happen so that a tree `before` (the receiver's) becomes a tree `after` (the source's).
 *
 * A tree is seen as edges (directory, name) → inode. First inodes are matched: an inode of `before` that shall become
 * one of `after`, never two with one. An edge is kept if it leads from matched directory to matched inode under the
 * same name; all others go or come. Then, whatever was renamed, swapped, linked or nested anew in between:
 *
 *   1. bottom-up through `before`, edges that go are cut; an inode that is needed elsewhere moves to the stash, one
 *      that gets further names is anchored there;
 *   2. top-down through `after`, new directories are made and stashed inodes put in place;
 *   3. top-down again, contents and metadata, a directory's own after everything in it.
 *
 * In 1 all ancestors still have their old names, in 2 and 3 their new ones. As an inode of the receiver is matched to
 * one inode of the source, and all its other names are cut, writing into it changes nothing else.
 */
import { BlockCursor } from './block-cursor.ts';
import { BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FILE, SYMLINK } from './format.ts';
import { FOREIGN, LINK, RACY, RecordView, STALE } from './record.ts';
import { ROOT, type Tree, type Visitor, walkDirectories } from './tree.ts';

export const NONE = -1;

/** Marks of an inode in `after`. */
export const KEPT = 1;
export const ADDED = 2;
export const ADDED_AGAIN = 4;
export const STASHED = 8;
/** A directory in which names came or went. */
export const TOUCHED = 16;

/** A directory in both trees, by the offsets of its records; NONE where it is only in the other one. */
export type DirectoryPair = { before: number; after: number };

export type Outlook = { hasRemovals: boolean; hasMoves: boolean; files: number; bytes: number };

/**
 * `byName`: entries of the same path are matched, whatever their inode numbers. `trustSignatures`: `before` is what the
 * source itself saw, so that an equal signature means that nothing changed. Larger files than `contentLimit` travel without content.
 */
export type MatchRules = { byName: boolean; trustSignatures: boolean; contentLimit?: number };

export class Comparison {
  readonly before: Tree;
  readonly after: Tree;
  readonly #rules: MatchRules;

  constructor(before: Tree, after: Tree, rules: MatchRules) {
    this.before = before;
    this.after = after;
    this.#rules = rules;
    before.index.beginComparison();
    after.index.beginComparison();
    this.#match(this.slotAfter(this.viewAfter(ROOT)), this.slotBefore(this.viewBefore(ROOT)));
  }

  viewBefore(offset: number): RecordView {
    return new RecordView().moveTo(this.before.file, offset);
  }

  viewAfter(offset: number): RecordView {
    return new RecordView().moveTo(this.after.file, offset);
  }

  slotBefore(view: RecordView): number {
    return this.before.index.find(view.inodeLow, view.inodeHigh);
  }

  slotAfter(view: RecordView): number {
    return this.after.index.find(view.inodeLow, view.inodeHigh);
  }

  /** The record in `before` of the inode in this slot of `after`, or NONE. */
  partnerOf(slotAfter: number): number {
    const slot = this.after.index.matchOf(slotAfter);
    return slot < 0 ? NONE : this.before.index.offsetAt(slot);
  }

  /** The slot in `after` that an entry of `before` is matched to, or -1. */
  successorOf(before: RecordView): number {
    const slot = this.slotBefore(before);
    return slot < 0 ? -1 : this.before.index.matchOf(slot);
  }

  isKept(before: RecordView | null, after: RecordView | null): boolean {
    if (before === null || after === null || before.has(FOREIGN)) return false;
    const slot = this.slotAfter(after);
    return slot >= 0 && this.successorOf(before) === slot;
  }

  /** An inode that needn't be looked at: neither its contents nor its attributes can have changed. */
  isUnchanged(before: RecordView, after: RecordView): boolean {
    const canTell = this.#rules.trustSignatures && !before.has(RACY) && !before.has(STALE);
    return canTell && after.hasSameSignature(before);
  }

  /** Matches inodes, marks those of `after`, and estimates what is to be done. Must come first. */
  prepare(poll: () => void): Outlook {
    const outlook: Outlook = { hasRemovals: false, hasMoves: false, files: 0, bytes: 0 };
    const partner = new RecordView();
    this.walkAfter({
      enter: (pair) =>
        this.mergeEntries(pair, (before, after) => {
          poll();
          if (after !== null) this.#findMatch(before, after, partner);
          const kept = this.isKept(before, after);
          if (before !== null && !kept) outlook.hasRemovals = true;
          if (after !== null) this.#classify(after, kept, partner, outlook);
        }),
      leave: () => {},
    });
    return outlook;
  }

  /** All entries of a pair of directories side by side, by name. The views move on after each visit. */
  mergeEntries(pair: DirectoryPair, visit: (before: RecordView | null, after: RecordView | null) => void): void {
    const [before, after] = [new RecordView(), new RecordView()];
    const beforeCursor = pair.before === NONE ? null : new BlockCursor(this.before.file, pair.before);
    const afterCursor = pair.after === NONE ? null : new BlockCursor(this.after.file, pair.after);
    let hasBefore = beforeCursor?.next(before) ?? false;
    let hasAfter = afterCursor?.next(after) ?? false;
    while (hasBefore || hasAfter) {
      const order = !hasBefore ? 1 : !hasAfter ? -1 : before.compareName(after);
      visit(order <= 0 ? before : null, order >= 0 ? after : null);
      if (order <= 0) hasBefore = beforeCursor?.next(before) ?? false;
      if (order >= 0) hasAfter = afterCursor?.next(after) ?? false;
    }
  }

  /** Top-down through `after`: `enter` before a directory's subdirectories, `leave` after them. */
  walkAfter(visitor: Visitor<DirectoryPair>): void {
    const pairOf = (after: number): DirectoryPair => {
      return { before: this.partnerOf(this.slotAfter(this.viewAfter(after))), after };
    };
    walkDirectories(this.after.file, {
      enter: (offset) => visitor.enter(pairOf(offset)),
      leave: (offset) => visitor.leave(pairOf(offset)),
    });
  }

  /** The same through `before`. */
  walkBefore(visitor: Visitor<DirectoryPair>): void {
    const pairOf = (before: number): DirectoryPair => {
      const slot = this.successorOf(this.viewBefore(before));
      return { before, after: slot < 0 ? NONE : this.after.index.offsetAt(slot) };
    };
    walkDirectories(this.before.file, {
      enter: (offset) => visitor.enter(pairOf(offset)),
      leave: (offset) => visitor.leave(pairOf(offset)),
    });
  }

  #findMatch(before: RecordView | null, after: RecordView, partner: RecordView): void {
    const slotAfter = this.slotAfter(after);
    if (this.after.index.matchOf(slotAfter) >= 0) return;
    if (this.#rules.byName) {
      if (before === null || before.has(FOREIGN)) return;
      const slot = this.slotBefore(before);
      if (slot >= 0 && this.before.index.matchOf(slot) < 0 && canBecome(before, after)) this.#match(slotAfter, slot);
    } else if (!after.has(LINK)) {
      const slot = this.before.index.find(after.inodeLow, after.inodeHigh);
      if (slot < 0) return;
      partner.moveTo(this.before.file, this.before.index.offsetAt(slot));
      if (this.before.index.matchOf(slot) < 0 && canBecome(partner, after)) this.#match(slotAfter, slot);
    }
  }

  #match(slotAfter: number, slotBefore: number): void {
    this.after.index.setMatch(slotAfter, slotBefore);
    this.before.index.setMatch(slotBefore, slotAfter);
  }

  #classify(after: RecordView, kept: boolean, partner: RecordView, outlook: Outlook): void {
    const slot = this.slotAfter(after);
    const { index } = this.after;
    if (kept) index.mark(slot, KEPT);
    else index.mark(slot, (index.marksOf(slot) & ADDED) === 0 ? ADDED : ADDED_AGAIN);
    const partnerOffset = this.partnerOf(slot);
    if (partnerOffset !== NONE && (index.marksOf(slot) & ADDED) !== 0) outlook.hasMoves = true;
    if (after.has(LINK) || after.type === DIRECTORY) return;
    if (partnerOffset !== NONE && this.isUnchanged(partner.moveTo(this.before.file, partnerOffset), after)) return;
    outlook.files += 1;
    if (after.type === FILE && after.size <= (this.#rules.contentLimit ?? after.size))
      outlook.bytes += Math.min(after.size, after.allocatedBytes);
  }
}

/** Whether an existing inode can be made into another by changing contents and metadata. */
function canBecome(before: RecordView, after: RecordView): boolean {
  if (before.type !== after.type) return false;
  if (after.type === SYMLINK) return before.target.equals(after.target);
  const isDevice = after.type === CHARACTER_DEVICE || after.type === BLOCK_DEVICE;
  return !isDevice || (before.deviceMajor === after.deviceMajor && before.deviceMinor === after.deviceMinor);
}
