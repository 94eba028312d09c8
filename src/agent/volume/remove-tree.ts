import { type CString, isErrno } from '../../linux/libc.ts';
import { removeDirectoryAt, unlinkAt } from '../../linux/names.ts';
import { DirectoryStack } from './directory-stack.ts';
import { Listing } from './listing.ts';
import { despiteProtection } from './protection.ts';

/** Removes an entry of a directory with everything below it, never through a symlink. It may be missing. */
export function removeTree(parentFd: number, name: CString): void {
  if (!isDirectoryLeft(parentFd, name)) return;
  using directories = new DirectoryStack(parentFd);
  directories.push(name, null);
  const stack = [{ name: Buffer.from(name), listing: Listing.of(directories.fd()), next: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    if (top.next === top.listing.count) {
      stack.pop();
      directories.pop();
      const { name } = top;
      const dirfd = directories.fd();
      despiteProtection([{ dirfd }, { dirfd, name }], () => removeDirectoryAt(dirfd, name));
      continue;
    }
    const entry = top.listing.name(top.next);
    top.next += 1;
    if (!isDirectoryLeft(directories.fd(), entry)) continue;
    directories.push(entry, null);
    stack.push({ name: Buffer.from(entry), listing: Listing.of(directories.fd()), next: 0 });
  }
}

/** Unlinks what is no directory; true if it is one. */
function isDirectoryLeft(dirfd: number, name: CString): boolean {
  try {
    despiteProtection([{ dirfd }, { dirfd, name }], () => unlinkAt(dirfd, name));
    return false;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    if (isErrno(error, 'EISDIR')) return true;
    throw error;
  }
}
