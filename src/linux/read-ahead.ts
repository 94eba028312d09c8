import { bind } from './libc.ts';

const readahead2 = bind('int64 readahead(int fd, int64 offset, size_t count)');

/** readahead(2): the disk begins to read this range into the page cache. Nothing depends on it, so no error is thrown. */
export function readAhead(fd: number, offset: number, length: number): void {
  readahead2(fd, offset, length);
}
