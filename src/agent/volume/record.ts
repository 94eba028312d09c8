/**
 * A manifest's tree file is a sequence of records in the order of the scan: the root, then for each directory a BLOCK
 * record followed by its entries sorted by name; subdirectories' blocks follow. A record is
 *
 *    0 u16 length     2 u8 type     3 u8 flags     4 u16 name length     6 u16 symlink target length
 *    8 u64 inode     16 u32 mode   20 u32 uid     24 u32 gid            28 u32 nlink
 *   32 u64 size      40 i64 mtime s   48 u32 mtime ns   52 u32 ctime ns   56 i64 ctime s   64 u32 ×2 device
 *   72 u64 allocated bytes / 512
 *   80 u64 directory: offset of its BLOCK; file of many blocks: offset in the blocks file
 *   88 u64 file of many blocks: bytes in the blocks file; of one block: its page bits; BLOCK: number of entries
 *   96 16 hash of a file's only block
 *  112 16 digest of the extended attributes, zero without any
 *  128 name, NUL, symlink target, NUL
 *
 * A length of 0 means: go on at the next page. Bytes 8 to 72 are the signature: an entry whose signature is what it
 * was is unchanged (unless it was RACY). Deletion of a file's last name with its number taken by another is harmless:
 * what counts is that at any time one inode number means one inode of the receiver.
 */
import type { Stat } from '../../linux/stat.ts';
import { HASH_BYTES } from './format.ts';
import { FILE_PAGE_BYTES, type PagedFile } from './paged-file.ts';

export const RECORD_BYTES = 128;
export const BLOCK = 0xb0;

/** Another name of an inode that was met before: only name, type and inode number count. */
export const LINK = 1;
/** Changed so shortly before it was looked at that a later change may not show in its ctime. */
export const RACY = 2;
/** What the receiver has is not what the signature says: everything is looked at again. */
export const STALE = 4;
/** Block hashes are in the blocks file. */
export const MANY_BLOCKS = 8;
/** The inode has names outside the tree: it must not be changed in place. */
export const FOREIGN = 16;

const SIGNATURE_START = 8;
const SIGNATURE_END = 72;

/** A window on one record; made once and moved along, so that a tree costs no objects. */
export class RecordView {
  #file: PagedFile | null = null;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  offset = 0;

  moveTo(file: PagedFile, offset: number): this {
    this.#file = file;
    this.#bytes = file.page(offset);
    this.#at = offset % FILE_PAGE_BYTES;
    this.offset = offset;
    return this;
  }

  get length(): number {
    return this.#bytes.readUInt16LE(this.#at);
  }
  get type(): number {
    return this.#bytes.readUInt8(this.#at + 2);
  }
  get flags(): number {
    return this.#bytes.readUInt8(this.#at + 3);
  }
  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }
  get inodeLow(): number {
    return this.#bytes.readUInt32LE(this.#at + 8);
  }
  get inodeHigh(): number {
    return this.#bytes.readUInt32LE(this.#at + 12);
  }
  get mode(): number {
    return this.#bytes.readUInt32LE(this.#at + 16);
  }
  get uid(): number {
    return this.#bytes.readUInt32LE(this.#at + 20);
  }
  get gid(): number {
    return this.#bytes.readUInt32LE(this.#at + 24);
  }
  get nlink(): number {
    return this.#bytes.readUInt32LE(this.#at + 28);
  }
  get size(): number {
    return this.#u64(32);
  }
  get mtimeSeconds(): number {
    return this.#bytes.readInt32LE(this.#at + 44) * 0x1_0000_0000 + this.#bytes.readUInt32LE(this.#at + 40);
  }
  get mtimeNanoseconds(): number {
    return this.#bytes.readUInt32LE(this.#at + 48);
  }
  get ctimeSeconds(): number {
    return this.#bytes.readInt32LE(this.#at + 60) * 0x1_0000_0000 + this.#bytes.readUInt32LE(this.#at + 56);
  }
  get ctimeNanoseconds(): number {
    return this.#bytes.readUInt32LE(this.#at + 52);
  }
  get deviceMajor(): number {
    return this.#bytes.readUInt32LE(this.#at + 64);
  }
  get deviceMinor(): number {
    return this.#bytes.readUInt32LE(this.#at + 68);
  }
  get allocatedBytes(): number {
    return this.#u64(72) * 512;
  }
  /** Of a directory: its BLOCK; of a file with MANY_BLOCKS: where its hashes are. */
  get reference(): number {
    return this.#u64(80);
  }
  get hashesLength(): number {
    return this.#u64(88);
  }
  get entryCount(): number {
    return this.#u64(88);
  }
  get pageBits(): number {
    return this.#bytes.readUInt32LE(this.#at + 88);
  }
  get hash(): Buffer {
    return this.#bytes.subarray(this.#at + 96, this.#at + 96 + HASH_BYTES);
  }
  get xattrDigest(): Buffer {
    return this.#bytes.subarray(this.#at + 112, this.#at + 112 + HASH_BYTES);
  }
  get nameLength(): number {
    return this.#bytes.readUInt16LE(this.#at + 4);
  }
  get targetLength(): number {
    return this.#bytes.readUInt16LE(this.#at + 6);
  }
  /** With the NUL behind it. */
  get name(): Buffer {
    const start = this.#at + RECORD_BYTES;
    return this.#bytes.subarray(start, start + this.nameLength + 1);
  }
  /** A symlink's target, with the NUL behind it. */
  get target(): Buffer {
    const start = this.#at + RECORD_BYTES + this.nameLength + 1;
    return this.#bytes.subarray(start, start + this.targetLength + 1);
  }

  hasSameSignature(other: RecordView): boolean {
    const [from, to] = [this.#at + SIGNATURE_START, this.#at + SIGNATURE_END];
    const [otherFrom, otherTo] = [other.#at + SIGNATURE_START, other.#at + SIGNATURE_END];
    return this.#bytes.compare(other.#bytes, otherFrom, otherTo, from, to) === 0;
  }

  /** Owner, mode and mtime: what is set at the receiver. */
  hasSameMetadata(other: RecordView): boolean {
    const [a, b] = [this.#at, other.#at];
    if (this.#bytes.compare(other.#bytes, b + 16, b + 28, a + 16, a + 28) !== 0) return false;
    return this.#bytes.compare(other.#bytes, b + 40, b + 52, a + 40, a + 52) === 0;
  }

  /** Order by bytes, as the entries of a BLOCK are. */
  compareName(other: RecordView): number {
    const [a, b] = [this.#at + RECORD_BYTES, other.#at + RECORD_BYTES];
    const [aEnd, bEnd] = [a + this.nameLength, b + other.nameLength];
    return this.#bytes.compare(other.#bytes, b, bEnd, a, aEnd);
  }

  setFlags(flags: number): void {
    this.#change().writeUInt8(flags, this.#at + 3);
  }
  setReference(offset: number): void {
    writeU64(this.#change(), offset, this.#at + 80);
  }
  setInode(low: number, high: number): void {
    const bytes = this.#change();
    bytes.writeUInt32LE(low, this.#at + 8);
    bytes.writeUInt32LE(high, this.#at + 12);
  }
  setEntryCount(count: number): void {
    writeU64(this.#change(), count, this.#at + 88);
  }
  setBlockList(offset: number, length: number): void {
    const bytes = this.#change();
    writeU64(bytes, offset, this.#at + 80);
    writeU64(bytes, length, this.#at + 88);
  }
  setOnlyBlock(hash: Uint8Array, pageBits: number): void {
    const bytes = this.#change();
    bytes.writeUInt32LE(pageBits, this.#at + 88);
    bytes.set(hash, this.#at + 96);
  }
  setXattrDigest(digest: Uint8Array): void {
    this.#change().set(digest, this.#at + 112);
  }
  setStat(stat: Stat): void {
    writeStat(this.#change(), this.#at, stat);
  }
  /** Takes over everything but type, flags and names. */
  copyFrom(other: RecordView): void {
    other.#bytes.copy(this.#change(), this.#at + 8, other.#at + 8, other.#at + RECORD_BYTES);
  }
  /** Takes over what is known about content and attributes, not the signature. */
  copyContentFrom(other: RecordView): void {
    other.#bytes.copy(this.#change(), this.#at + 80, other.#at + 80, other.#at + RECORD_BYTES);
  }

  #change(): Buffer {
    if (this.#file === null) throw new Error('a record view is used before it is placed');
    this.#bytes = this.#file.change(this.offset);
    return this.#bytes;
  }

  #u64(field: number): number {
    const at = this.#at + field;
    return this.#bytes.readUInt32LE(at + 4) * 0x1_0000_0000 + this.#bytes.readUInt32LE(at);
  }
}

export type NewRecord = { type: number; flags: number; name: Uint8Array; target: Uint8Array };

/** Appends a record; name and target come without NUL. Returns its offset. */
export function appendRecord(file: PagedFile, record: NewRecord, stat: Stat | null): number {
  const { name, target } = record;
  const length = Math.ceil((RECORD_BYTES + name.length + target.length + 2) / 8) * 8;
  const offset = file.append(length);
  const at = offset % FILE_PAGE_BYTES;
  const bytes = file.change(offset);
  bytes.writeUInt16LE(length, at);
  bytes.writeUInt8(record.type, at + 2);
  bytes.writeUInt8(record.flags, at + 3);
  bytes.writeUInt16LE(name.length, at + 4);
  bytes.writeUInt16LE(target.length, at + 6);
  bytes.set(name, at + RECORD_BYTES);
  bytes.set(target, at + RECORD_BYTES + name.length + 1);
  if (stat !== null) writeStat(bytes, at, stat);
  return offset;
}

function writeStat(bytes: Buffer, at: number, stat: Stat): void {
  bytes.writeUInt32LE(stat.inodeLow, at + 8);
  bytes.writeUInt32LE(stat.inodeHigh, at + 12);
  bytes.writeUInt32LE(stat.mode, at + 16);
  bytes.writeUInt32LE(stat.uid, at + 20);
  bytes.writeUInt32LE(stat.gid, at + 24);
  bytes.writeUInt32LE(stat.nlink, at + 28);
  writeU64(bytes, stat.size, at + 32);
  writeI64(bytes, stat.mtimeSeconds, at + 40);
  bytes.writeUInt32LE(stat.mtimeNanoseconds, at + 48);
  bytes.writeUInt32LE(stat.ctimeNanoseconds, at + 52);
  writeI64(bytes, stat.ctimeSeconds, at + 56);
  bytes.writeUInt32LE(stat.deviceMajor, at + 64);
  bytes.writeUInt32LE(stat.deviceMinor, at + 68);
  writeU64(bytes, stat.blocks, at + 72);
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, at);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

function writeI64(bytes: Buffer, value: number, at: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  bytes.writeUInt32LE(value - high * 0x1_0000_0000, at);
  bytes.writeInt32LE(high, at + 4);
}
