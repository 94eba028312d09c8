import { CargoError } from '../../api/cargo-error.ts';
import { FILE_PAGE_BYTES, type PagedFile } from './paged-file.ts';
import { BLOCK, RecordView } from './record.ts';

/** Steps through the entries of one directory in a tree file. */
export class BlockCursor {
  readonly #file: PagedFile;
  #next: number;
  #left: number;

  /** `directory` is the offset of the directory's own record. */
  constructor(file: PagedFile, directory: number) {
    this.#file = file;
    const view = new RecordView().moveTo(file, directory);
    const { inodeLow, inodeHigh, reference } = view;
    view.moveTo(file, reference);
    if (view.type !== BLOCK || view.inodeLow !== inodeLow || view.inodeHigh !== inodeHigh) throw damaged();
    this.#left = view.entryCount;
    this.#next = reference + view.length;
  }

  /** Moves `view` to the next entry; false after the last one. */
  next(view: RecordView): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    this.#next = moveToRecord(view, this.#file, this.#next) + view.length;
    return true;
  }
}

/** Moves `view` to the record at `offset`, or on the next page if this one has no more. Returns where it is. */
export function moveToRecord(view: RecordView, file: PagedFile, offset: number): number {
  if (view.moveTo(file, offset).length !== 0) return offset;
  const next = (Math.floor(offset / FILE_PAGE_BYTES) + 1) * FILE_PAGE_BYTES;
  if (next >= file.size || view.moveTo(file, next).length === 0) throw damaged();
  return next;
}

function damaged(): CargoError {
  return new CargoError('PROTOCOL_ERROR', 'A manifest of this transfer is damaged.');
}
