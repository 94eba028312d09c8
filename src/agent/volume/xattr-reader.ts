import { createHash } from 'node:crypto';
import { getXattr, listXattrs, XATTR_MAX_BYTES, type XattrHolder } from '../../linux/xattr.ts';
import { HASH_BYTES } from './format.ts';

/** Digest of an entry without extended attributes. */
export const noXattrs: Uint8Array = new Uint8Array(HASH_BYTES);

/** Reads extended attributes (ACLs and capabilities are among them) into memory of its own, one at a time. */
export class XattrReader {
  readonly #list = Buffer.alloc(XATTR_MAX_BYTES);
  readonly #value = Buffer.alloc(XATTR_MAX_BYTES);

  /** Equal for equal sets of attributes, on any host. */
  digest(holder: XattrHolder): Uint8Array {
    const length = listXattrs(holder, this.#list);
    if (length === 0) return noXattrs;
    const hash = createHash('sha256');
    const lengths = Buffer.alloc(8);
    this.#each(holder, length, (name, value) => {
      lengths.writeUInt32LE(name.length, 0);
      lengths.writeUInt32LE(value.length, 4);
      hash.update(lengths).update(name).update(value);
    });
    return hash.digest().subarray(0, HASH_BYTES);
  }

  /** Names (with NUL) in byte order, with their values; both are valid during the visit only. */
  forEach(holder: XattrHolder, visit: (name: Buffer, value: Buffer) => void): void {
    this.#each(holder, listXattrs(holder, this.#list), visit);
  }

  #each(holder: XattrHolder, listLength: number, visit: (name: Buffer, value: Buffer) => void): void {
    for (const name of splitNames(this.#list.subarray(0, listLength)).sort(Buffer.compare)) {
      const length = getXattr(holder, name, this.#value);
      if (length >= 0) visit(name, this.#value.subarray(0, length));
    }
  }
}

/** The names of a list as listxattr(2) gives it, each with its NUL. */
export function splitNames(list: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let at = 0; at < list.length; ) {
    const end = list.indexOf(0, at) + 1;
    names.push(list.subarray(at, end));
    at = end;
  }
  return names;
}
