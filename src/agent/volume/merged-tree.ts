import { BlockCursor } from './block-cursor.ts';
import { copyRecord } from './copy-record.ts';
import { beginBlock } from './entry-recorder.ts';
import { DIRECTORY, FILE } from './format.ts';
import { RecordView } from './record.ts';
import { ROOT, type Tree, walkDirectories } from './tree.ts';

/** A tree, and the two small ones that say how it was changed: see changed-trees.ts. */
export type ChangedTree = { base: Tree; before: Tree; after: Tree };

/** A record of the merged tree that was just appended, and the one in `base` or `after` of which it is a copy. */
export type OnCopy = (copy: number, from: { tree: 'base' | 'after'; record: RecordView }) => void;

/** Writes base - before + after into an empty tree, in the order of a scan. */
export function mergeTrees(changed: ChangedTree, into: Tree, onCopy: OnCopy = () => {}): void {
  new Merger(changed, into, onCopy).run();
}

/** Names in a tree, the root not counted, and allocated bytes of files. */
export function sizeOfTree({ file }: Tree): { files: number; bytes: number } {
  const size = { files: 0, bytes: 0 };
  const view = new RecordView();
  const seen = new Set<string>();
  walkDirectories(file, {
    enter: (directory) => {
      for (const cursor = new BlockCursor(file, directory); cursor.next(view); ) {
        size.files += 1;
        const inode = `${view.inodeHigh}:${view.inodeLow}`;
        if (view.type !== FILE || seen.has(inode)) continue;
        size.bytes += view.allocatedBytes;
        if (view.nlink > 1) seen.add(inode);
      }
    },
    leave: () => {},
  });
  return size;
}

type Cursors = { base: NameCursor; before: NameCursor; after: NameCursor };

class Merger {
  readonly #changed: ChangedTree;
  readonly #into: Tree;
  readonly #onCopy: OnCopy;
  readonly #first = new RecordView();
  readonly #view = new RecordView();

  constructor(changed: ChangedTree, into: Tree, onCopy: OnCopy) {
    this.#changed = changed;
    this.#into = into;
    this.#onCopy = onCopy;
  }

  run(): void {
    this.#copy(this.#view.moveTo(this.#changed.after.file, ROOT));
    const stack = [this.#enter(ROOT)];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (!top.next(this.#view)) stack.pop();
      else if (this.#view.type === DIRECTORY) stack.push(this.#enter(this.#view.offset));
    }
  }

  /** Writes the entries of a directory. */
  #enter(directory: number): BlockCursor {
    const { file } = this.#into;
    const block = beginBlock(file, directory);
    const { base, before, after } = this.#cursorsOf(this.#view.moveTo(file, directory));
    let count = 0;
    while (base.isOn || after.isOn) {
      const order = base.compare(after);
      const isGone = order <= 0 && before.isOn && base.compare(before) === 0;
      if (order >= 0) this.#copy(after.view);
      else if (!isGone) this.#copy(base.view);
      if (order >= 0 || !isGone) count += 1;
      if (isGone) before.step();
      if (order <= 0) base.step();
      if (order >= 0) after.step();
    }
    this.#view.moveTo(file, block).setEntryCount(count);
    return new BlockCursor(file, directory);
  }

  /** The directory in each of the three trees. */
  #cursorsOf(directory: RecordView): Cursors {
    const { inodeLow, inodeHigh } = directory;
    const { base, before, after } = this.#changed;
    const cursor = (tree: Tree): NameCursor => new NameCursor(tree, inodeLow, inodeHigh);
    return { base: cursor(base), before: cursor(before), after: cursor(after) };
  }

  /** What is known of an inode is in `after` if it is there at all. */
  #copy(named: RecordView): void {
    const { base, after } = this.#changed;
    const { inodeLow, inodeHigh } = named;
    const slot = after.index.find(inodeLow, inodeHigh);
    const first = this.#first;
    if (slot >= 0) first.moveTo(after.file, after.index.offsetAt(slot));
    else first.moveTo(base.file, base.index.offsetAt(base.index.find(inodeLow, inodeHigh)));
    const isNew = this.#into.index.find(inodeLow, inodeHigh) < 0;
    const copy = copyRecord(this.#into, named, first);
    if (isNew) this.#onCopy(copy, { tree: slot >= 0 ? 'after' : 'base', record: first });
  }
}

/** Steps through the names of one directory of a tree; it may not be there. */
class NameCursor {
  readonly view = new RecordView();
  readonly #cursor: BlockCursor | null;
  isOn: boolean;

  constructor({ file, index }: Tree, low: number, high: number) {
    const slot = index.find(low, high);
    const record = slot < 0 ? -1 : index.offsetAt(slot);
    const isDirectory = record >= 0 && this.view.moveTo(file, record).type === DIRECTORY;
    this.#cursor = isDirectory ? new BlockCursor(file, record) : null;
    this.isOn = this.#cursor?.next(this.view) ?? false;
  }

  step(): void {
    this.isOn = this.#cursor?.next(this.view) ?? false;
  }

  /** Which name comes first; an end comes after all names. */
  compare(other: NameCursor): number {
    if (!this.isOn || !other.isOn) return this.isOn ? -1 : other.isOn ? 1 : 0;
    return this.view.compareName(other.view);
  }
}
