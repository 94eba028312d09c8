import { basename, dirname, resolve } from 'node:path';
import { CargoError } from '../../api/cargo-error.ts';
import { cstring, isErrno } from '../../linux/libc.ts';
import { close, openDirectory } from '../../linux/open.ts';
import type { TreeRoot } from './worker-messages.ts';

/** In the manifest the only entry of a one-file root has this name, whatever the file is called on either host. */
export const ONLY_FILE = cstring('content');

/** A root ready to be walked: of a one-file root `fd` is the directory around the file, and `only` the file's name. */
export class OpenRoot {
  readonly path: string;
  readonly fd: number;
  readonly only: Uint8Array | null;

  private constructor(path: string, fd: number, only: Uint8Array | null) {
    this.path = path;
    this.fd = fd;
    this.only = only;
  }

  static open(root: TreeRoot): OpenRoot {
    const path = resolve(root.path);
    const directory = root.isFile ? dirname(path) : path;
    try {
      return new OpenRoot(path, openDirectory(directory), root.isFile ? cstring(basename(path)) : null);
    } catch (cause) {
      if (!isErrno(cause, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw cause;
      throw new CargoError('INTERNAL', `${directory} is not a directory that can be read or filled.`, { cause });
    }
  }

  /** The real name of an entry that the manifest calls `name`, in a directory `depth` levels below the root. */
  localName(depth: number, name: Uint8Array): Uint8Array {
    return depth === 0 && this.only !== null ? this.only : name;
  }

  [Symbol.dispose](): void {
    close(this.fd);
  }
}
