import { close } from '../../linux/open.ts';
import { readAhead } from '../../linux/read-ahead.ts';
import { BlockCursor } from './block-cursor.ts';
import type { PagedFile } from './paged-file.ts';
import { RecordView } from './record.ts';

/** Enough for a disk to have always something to do; larger files are read ahead by the kernel. */
const FILES_AHEAD = 64;
const LARGEST_BYTES = 131_072;

/**
 * The files of one directory that come next, open already, while the disk reads them: one after the other it would be
 * waited for at each, and disks read many at once.
 */
export class FilesAhead implements Disposable {
  readonly #cursor: BlockCursor;
  readonly #open: (record: RecordView) => number | null;
  readonly #opened: { offset: number; fd: number }[] = [];
  #view: RecordView | null = new RecordView();

  /** `directory`: the offset of its record in `file`. `open`: null for what is not to be sent, or can't be opened. */
  constructor(file: PagedFile, directory: number, open: (record: RecordView) => number | null) {
    this.#cursor = new BlockCursor(file, directory);
    this.#open = open;
  }

  /** The open file of a record, which is the caller's from then on; null if it is not open. Records come in order. */
  take(record: RecordView): number | null {
    this.#fill();
    for (let first = this.#opened[0]; first !== undefined && first.offset <= record.offset; first = this.#opened[0]) {
      this.#opened.shift();
      if (first.offset === record.offset) return first.fd;
      close(first.fd);
    }
    return null;
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#opened.splice(0)) close(fd);
  }

  #fill(): void {
    while (this.#view !== null && this.#opened.length < FILES_AHEAD) {
      if (!this.#cursor.next(this.#view)) {
        this.#view = null;
        return;
      }
      const { size, offset } = this.#view;
      if (size === 0 || size > LARGEST_BYTES) continue;
      const fd = this.#open(this.#view);
      if (fd === null) continue;
      readAhead(fd, 0, size);
      this.#opened.push({ offset, fd });
    }
  }
}
