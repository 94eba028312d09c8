import { CargoError } from '../../api/cargo-error.ts';
import { HASH_BYTES, NAME_MAX_BYTES } from './format.ts';
import type { Metadata } from './ops.ts';

const SLASH = 0x2f;
const DOT = 0x2e;
const TARGET_MAX_BYTES = 4096;

/** Reads the fields of ops out of one frame. Everything is checked: the peer may be anybody's. */
export class OpReader {
  readonly #ops: Buffer;
  readonly #data: Buffer;
  #at = 0;
  #dataEnd: number;

  constructor(ops: Buffer, data: Buffer) {
    this.#ops = ops;
    this.#data = data;
    this.#dataEnd = data.length;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#ops.length;
  }

  /** Data that no op has asked for is a violation too. */
  finish(): void {
    if (this.#dataEnd !== 0) throw violation('a frame holds more data than its operations name');
  }

  u8(): number {
    return this.#ops.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#ops.readUInt32LE(this.#take(4));
  }

  /** An offset or a length: below 2^53. */
  u64(): number {
    const at = this.#take(8);
    const value = this.#ops.readUInt32LE(at + 4) * 0x1_0000_0000 + this.#ops.readUInt32LE(at);
    if (!Number.isSafeInteger(value)) throw violation('an offset is out of range');
    return value;
  }

  hash(): Buffer {
    const at = this.#take(HASH_BYTES);
    return this.#ops.subarray(at, at + HASH_BYTES);
  }

  metadata(): Metadata {
    const [mode, uid, gid, low] = [this.u32(), this.u32(), this.u32(), this.u32()];
    const high = this.#ops.readInt32LE(this.#take(4));
    return { mode, uid, gid, mtimeSeconds: high * 0x1_0000_0000 + low, mtimeNanoseconds: this.u32() };
  }

  /** The name of one directory entry, with its NUL: never a path, never the directory itself or its parent. */
  entryName(): Buffer {
    const name = this.#string(NAME_MAX_BYTES);
    if (!isEntryName(name.subarray(0, -1))) throw violation('an entry has a name that no file can have');
    return name;
  }

  /** With its NUL. */
  symlinkTarget(): Buffer {
    const target = this.#string(TARGET_MAX_BYTES);
    if (target.length === 1) throw violation('a symlink is empty');
    return target;
  }

  /** With its NUL. */
  attributeName(): Buffer {
    return this.#string(NAME_MAX_BYTES);
  }

  data(length: number): Buffer {
    const start = this.#dataEnd - length;
    if (start < 0) throw violation('an operation wants more data than its frame holds');
    const bytes = this.#data.subarray(start, this.#dataEnd);
    this.#dataEnd = start;
    return bytes;
  }

  #string(limit: number): Buffer {
    const length = this.#ops.readUInt16LE(this.#take(2));
    if (length > limit) throw violation('a name is too long');
    const at = this.#take(length + 1);
    const bytes = this.#ops.subarray(at, at + length + 1);
    if (bytes.indexOf(0) !== length) throw violation('a name holds a NUL');
    return bytes;
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#ops.length) throw violation('an operation is cut off');
    this.#at = at + length;
    return at;
  }
}

/** Whether these bytes (without NUL) can be the name of one entry in a directory. */
export function isEntryName(name: Uint8Array): boolean {
  if (name.length === 0 || name.length > NAME_MAX_BYTES) return false;
  if (name.includes(0) || name.includes(SLASH)) return false;
  return !(name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT)));
}

export function violation(what: string): CargoError {
  return new CargoError('PROTOCOL_ERROR', `The other agent broke the transfer protocol: ${what}.`);
}
