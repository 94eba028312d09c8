import { CargoError } from '../../api/cargo-error.ts';
import { BlockCursor } from './block-cursor.ts';
import { BLOCK_DEVICE, DIRECTORY, FILE } from './format.ts';
import { InodeIndex } from './inode-index.ts';
import { isEntryName } from './op-reader.ts';
import { FILE_PAGE_BYTES, PagedFile } from './paged-file.ts';
import { BLOCK, LINK, RECORD_BYTES, RecordView } from './record.ts';

/** A tree file with the index of its inodes. */
export type Tree = { file: PagedFile; index: InodeIndex };

/** Offset of the root's record in every tree file. */
export const ROOT = 0;

export type Visitor<T> = { enter: (directory: T) => void; leave: (directory: T) => void };

/** Goes through the directories of a tree file, by the offsets of their records, parents entered first and left last. */
export function walkDirectories(file: PagedFile, visitor: Visitor<number>): void {
  const view = new RecordView();
  const stack: { directory: number; rest: BlockCursor }[] = [];
  const enter = (directory: number): void => {
    visitor.enter(directory);
    stack.push({ directory, rest: new BlockCursor(file, directory) });
  };
  enter(ROOT);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    if (top.rest.next(view)) {
      if (view.type === DIRECTORY) enter(view.offset);
    } else {
      visitor.leave(top.directory);
      stack.pop();
    }
  }
}

/**
 * Opens a tree file and checks every record, as it may come from the other agent; each is shown to `visit`. Throws
 * PROTOCOL_ERROR.
 */
export function openTree(path: string, visit: (record: RecordView) => void = () => {}): Tree {
  using undo = new DisposableStack();
  const file = undo.use(PagedFile.open(path));
  const index = new InodeIndex(file.size / (RECORD_BYTES + 24));
  const view = new RecordView();
  for (let offset = 0; offset < file.size; ) {
    view.moveTo(file, offset);
    if (view.length === 0 && offset > 0) {
      offset = (Math.floor(offset / FILE_PAGE_BYTES) + 1) * FILE_PAGE_BYTES;
      continue;
    }
    checkRecord(view);
    if (view.type !== BLOCK && !view.has(LINK) && !index.add(view.inodeLow, view.inodeHigh, offset)) {
      throw damaged('an inode occurs twice');
    }
    visit(view);
    offset += view.length;
  }
  if (file.size === 0) throw damaged('it is empty');
  undo.move();
  return { file, index };
}

function checkRecord(view: RecordView): void {
  const end = (view.offset % FILE_PAGE_BYTES) + view.length;
  if (view.length < RECORD_BYTES || view.length % 8 !== 0 || end > FILE_PAGE_BYTES) throw damaged('a length is wrong');
  if (RECORD_BYTES + view.nameLength + view.targetLength + 2 > view.length) throw damaged('a name is too long');
  if (view.type === BLOCK) return;
  if (view.type < FILE || view.type > BLOCK_DEVICE) throw damaged('a type is unknown');
  const isRoot = view.offset === ROOT;
  if (isRoot && view.type !== DIRECTORY) throw damaged('its root is no directory');
  if (!isRoot && !isEntryName(view.name.subarray(0, -1))) throw damaged('a name is impossible');
  // Blocks lie behind their directory, so that no directory can be its own descendant.
  if (view.type === DIRECTORY && (view.has(LINK) || view.reference <= view.offset)) throw damaged('it is no tree');
}

function damaged(what: string): CargoError {
  return new CargoError('PROTOCOL_ERROR', `A manifest of this transfer is damaged: ${what}.`);
}
