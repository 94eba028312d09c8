import type { BlockListWriter } from './block-list.ts';
import { BLOCK_BYTES } from './format.ts';
import { MANY_BLOCKS, type RecordView } from './record.ts';

/** Notes in a file's record, and for more than one block in the blocks file, what its content is. */
export class ContentRecorder {
  readonly #record: RecordView;
  readonly #blocks: BlockListWriter;
  readonly #isMany: boolean;
  readonly #start: number;

  constructor(record: RecordView, blocks: BlockListWriter) {
    this.#record = record;
    this.#blocks = blocks;
    this.#isMany = record.size > BLOCK_BYTES;
    this.#start = blocks.position;
  }

  block(hash: Uint8Array, pageBits: number): void {
    if (this.#isMany) this.#blocks.addBlock(hash, pageBits);
    else this.#record.setOnlyBlock(hash, pageBits);
  }

  holes(length: number): void {
    if (this.#isMany) this.#blocks.addHoles(Math.ceil(length / BLOCK_BYTES));
  }

  end(): void {
    if (!this.#isMany) return;
    this.#blocks.endList();
    this.#record.setBlockList(this.#start, this.#blocks.position - this.#start);
    this.#record.setFlags(this.#record.flags | MANY_BLOCKS);
  }
}
