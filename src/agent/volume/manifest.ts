import { join } from 'node:path';
import { BlockListReader, BlockListWriter } from './block-list.ts';
import { InodeIndex } from './inode-index.ts';
import { PagedFile } from './paged-file.ts';
import { MANY_BLOCKS, type RecordView } from './record.ts';
import { openTree, type Tree } from './tree.ts';

/** The two files of a manifest in a state directory. */
export function manifestPaths(stateDir: string, label: string): { tree: string; blocks: string } {
  return { tree: join(stateDir, `${label}.tree`), blocks: join(stateDir, `${label}.blocks`) };
}

/** A manifest that is read. */
export class Manifest implements Disposable {
  readonly tree: Tree;
  readonly blocks: BlockListReader;

  constructor(stateDir: string, label: string) {
    using undo = new DisposableStack();
    const paths = manifestPaths(stateDir, label);
    this.tree = openTree(paths.tree);
    undo.use(this.tree.file);
    this.blocks = new BlockListReader(paths.blocks);
    undo.move();
  }

  [Symbol.dispose](): void {
    this.tree.file[Symbol.dispose]();
    this.blocks[Symbol.dispose]();
  }
}

/** A manifest that is made. */
export class NewManifest implements Disposable {
  readonly tree: Tree;
  readonly blocks: BlockListWriter;

  /** `expected` inodes spare the index from growing. */
  constructor(stateDir: string, label: string, expected = 0) {
    const paths = manifestPaths(stateDir, label);
    this.tree = { file: PagedFile.create(paths.tree), index: new InodeIndex(expected) };
    this.blocks = new BlockListWriter(paths.blocks);
  }

  /** Says in a record that the receiver's content is that of an earlier record. */
  keepContent(record: RecordView, earlier: RecordView, earlierBlocks: BlockListReader): void {
    record.copyContentFrom(earlier);
    if (!earlier.has(MANY_BLOCKS)) return;
    const start = this.blocks.position;
    for (const piece of earlierBlocks.raw(earlier)) this.blocks.copy(piece);
    record.setBlockList(start, this.blocks.position - start);
    record.setFlags(record.flags | MANY_BLOCKS);
  }

  flush(durable: boolean): void {
    this.tree.file.flush(durable);
    this.blocks.flush(durable);
  }

  [Symbol.dispose](): void {
    this.tree.file[Symbol.dispose]();
    this.blocks[Symbol.dispose]();
  }
}
