import { createHash } from 'node:crypto';
import { PORTABLE_FLAGS, readFlags } from '../../linux/inode-flags.ts';
import { cstring } from '../../linux/libc.ts';
import { getXattr, listXattrs, XATTR_MAX_BYTES, type XattrHolder } from '../../linux/xattr.ts';
import { BLOCK_BYTES, HASH_BYTES } from './format.ts';
import { mayBeUneven, packReserved } from './reserved-room.ts';

/** Digest of an entry without extended attributes. */
export const noXattrs: Uint8Array = new Uint8Array(HASH_BYTES);

/** What else belongs to an inode travels as attributes too, under names that no real attribute can have. */
export const RESERVED_ROOM = Buffer.from(cstring('cargo.reserved'));
export const INODE_FLAGS = Buffer.from(cstring('cargo.flags'));

/** What stat says of a regular file. */
type FileSize = { size: number; allocatedBytes: number };
type Visit = (name: Buffer, value: Buffer) => void;

/**
 * Reads extended attributes (ACLs and capabilities are among them), the flags of chattr(1) and reserved room into memory
 * of its own, one at a time. Flags are those of files and directories alone, which are given as descriptors.
 */
export class XattrReader {
  readonly #list = Buffer.alloc(XATTR_MAX_BYTES);
  readonly #value = Buffer.alloc(XATTR_MAX_BYTES);
  readonly #flags = Buffer.alloc(4);
  readonly #lengths = Buffer.alloc(8);

  /** Equal for equal sets of attributes, on any host. `file` where it is a regular one. */
  digest(holder: XattrHolder, file: FileSize | null = null): Uint8Array {
    let hash: ReturnType<typeof createHash> | null = null;
    this.forEach(holder, file, (name, value) => {
      hash ??= createHash('sha256');
      this.#lengths.writeUInt32LE(name.length, 0);
      this.#lengths.writeUInt32LE(value.length, 4);
      hash.update(this.#lengths).update(name).update(value);
    });
    return hash === null ? noXattrs : (hash as ReturnType<typeof createHash>).digest().subarray(0, HASH_BYTES);
  }

  /** Names (with NUL) in an order that is always the same, with their values; both are valid during the visit only. */
  forEach(holder: XattrHolder, file: FileSize | null, visit: Visit): void {
    const reserved = this.reservedRoom(holder, file);
    if (reserved !== null) visit(RESERVED_ROOM, reserved);
    this.#eachXattr(holder, visit);
    const flags = typeof holder === 'number' ? readFlags(holder) & PORTABLE_FLAGS : 0;
    if (flags === 0) return;
    this.#flags.writeUInt32LE(flags, 0);
    visit(INODE_FLAGS, this.#flags);
  }

  /** The packed ranges of a file that has any. */
  reservedRoom(holder: XattrHolder, file: FileSize | null): Buffer | null {
    if (file === null || typeof holder !== 'number') return null;
    if (!mayBeUneven(file.size, file.allocatedBytes, BLOCK_BYTES)) return null;
    const packed = packReserved(holder, file.size);
    return packed.length === 0 ? null : packed;
  }

  #eachXattr(holder: XattrHolder, visit: Visit): void {
    const listLength = listXattrs(holder, this.#list);
    if (listLength === 0) return;
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
