import { closeSync, fdatasyncSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs';

export const FILE_PAGE_BYTES = 65536;
const CACHED_PAGES = 48;

type Page = { bytes: Buffer; dirty: boolean };

/**
 * A file of records that don't cross page borders, read, changed and grown through a small cache, so that a manifest of
 * any length costs 3 MiB of memory. A page handed out stays valid while fewer than CACHED_PAGES others are looked at (its
 * memory is then used again), which is more than the handling of any one entry does; it is written only through `change`.
 */
export class PagedFile {
  readonly path: string;
  readonly #fd: number;
  readonly #pages = new Map<number, Page>();
  #lastNumber = -1;
  #last: Page = { bytes: Buffer.alloc(0), dirty: false };
  #size: number;

  private constructor(path: string, fd: number, size: number) {
    this.path = path;
    this.#fd = fd;
    this.#size = size;
  }

  static create(path: string): PagedFile {
    return new PagedFile(path, openSync(path, 'w+', 0o600), 0);
  }

  static open(path: string): PagedFile {
    return new PagedFile(path, openSync(path, 'r+'), statSync(path).size);
  }

  /** Where the next record goes at the earliest. */
  get size(): number {
    return this.#size;
  }

  /** The page that holds `offset`, for reading. */
  page(offset: number): Buffer {
    return this.#find(Math.floor(offset / FILE_PAGE_BYTES)).bytes;
  }

  /** The page that holds `offset`, for changing at once. */
  change(offset: number): Buffer {
    const page = this.#find(Math.floor(offset / FILE_PAGE_BYTES));
    page.dirty = true;
    return page.bytes;
  }

  /** Room for a record of `length` bytes, zeroed: its offset. What is left of a page that it doesn't fit stays zero. */
  append(length: number): number {
    const left = FILE_PAGE_BYTES - (this.#size % FILE_PAGE_BYTES);
    const offset = length > left ? this.#size + left : this.#size;
    this.#size = offset + length;
    return offset;
  }

  /** Writes all changes out; with `durable` they survive a power cut. */
  flush(durable: boolean): void {
    for (const [number, page] of this.#pages) this.#write(number, page);
    if (statSync(this.path).size < this.#size) ftruncateSync(this.#fd, this.#size);
    if (durable) fdatasyncSync(this.#fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #find(number: number): Page {
    if (number === this.#lastNumber) return this.#last;
    let page = this.#pages.get(number);
    if (page === undefined) {
      const bytes = this.#pages.size < CACHED_PAGES ? Buffer.allocUnsafeSlow(FILE_PAGE_BYTES) : this.#evictOldest();
      this.#load(number, bytes);
      page = { bytes, dirty: false };
    } else {
      this.#pages.delete(number);
    }
    this.#pages.set(number, page);
    this.#lastNumber = number;
    this.#last = page;
    return page;
  }

  /** Frees the page that was not looked at for longest; returns its memory. */
  #evictOldest(): Buffer {
    for (const [number, page] of this.#pages) {
      this.#write(number, page);
      this.#pages.delete(number);
      return page.bytes;
    }
    return Buffer.allocUnsafeSlow(FILE_PAGE_BYTES);
  }

  #load(number: number, bytes: Buffer): void {
    const length = readSync(this.#fd, bytes, 0, FILE_PAGE_BYTES, number * FILE_PAGE_BYTES);
    bytes.fill(0, length);
  }

  #write(number: number, page: Page): void {
    if (!page.dirty) return;
    writeSync(this.#fd, page.bytes, 0, FILE_PAGE_BYTES, number * FILE_PAGE_BYTES);
    page.dirty = false;
  }
}
