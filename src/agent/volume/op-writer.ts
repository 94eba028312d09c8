import { createHash } from 'node:crypto';
import { FRAME_MAX_BYTES, frameKinds } from './frames.ts';
import type { Link } from './link.ts';
import { type Metadata, OP_MAX_BYTES, type OpCode, ops } from './ops.ts';

/** What the ops of a round add up to; both sides count, and compare at the end. */
export type OpTotals = { files: number; deleted: number; bytes: number };

/** Packs ops from a frame's start and their data from its end, and sends the frame when the two meet. */
export class OpWriter {
  readonly #link: Link;
  readonly #onFlush: () => void;
  readonly #digest = createHash('sha256');
  #buffer: ArrayBuffer;
  #bytes: Buffer;
  #opsEnd = 0;
  #dataStart = FRAME_MAX_BYTES;
  /** The directories down to the current one; the first `#entered` of them are known to the receiver. */
  readonly #path: Buffer[] = [];
  #entered = 0;
  /** Reported with each frame. */
  readonly progress = { filesDone: 0, bytesDone: 0 };
  readonly totals: OpTotals = { files: 0, deleted: 0, bytes: 0 };

  constructor(link: Link, onFlush: () => void) {
    this.#link = link;
    this.#onFlush = onFlush;
    this.#buffer = link.acquire();
    this.#bytes = Buffer.from(this.#buffer);
  }

  /** Goes down into a directory; the receiver hears of it only if something is to be done there. */
  enter(name: Uint8Array): void {
    this.#path.push(Buffer.from(name));
  }

  leave(): void {
    this.#path.pop();
    if (this.#entered <= this.#path.length) return;
    this.#begin(ops.leave);
    this.#entered -= 1;
  }

  /** Has the receiver in the current directory. */
  arrive(): void {
    while (this.#entered < this.#path.length) {
      const name = this.#path[this.#entered] ?? Buffer.alloc(0);
      this.#begin(ops.enter);
      this.#name(name);
      this.#entered += 1;
    }
  }

  remove(code: typeof ops.unlink | typeof ops.rmdir, name: Uint8Array): void {
    this.#start(code, name);
    this.totals.deleted += 1;
  }

  /** Between the current directory and the stash. */
  stashed(
    code: typeof ops.stash | typeof ops.anchor | typeof ops.take | typeof ops.link,
    name: Uint8Array,
    id: number,
  ) {
    this.#start(code, name);
    this.#u32(id);
    if (code === ops.take || code === ops.link) this.totals.files += 1;
  }

  makeDirectory(name: Uint8Array): void {
    this.#start(ops.mkdir, name);
    this.totals.files += 1;
  }

  /** A whole new file; its bytes are what `room` gave last. */
  smallFile(name: Uint8Array, metadata: Metadata, hash: Uint8Array, length: number): void {
    this.#start(ops.small, name);
    this.#metadata(metadata);
    this.#put(hash);
    this.#u32(length);
    this.#commit(length);
    this.totals.files += 1;
  }

  beginFile(name: Uint8Array, metadata: Metadata, isNew: boolean, size: number): void {
    this.#start(ops.file, name);
    this.#metadata(metadata);
    this.#u8(isNew ? 1 : 0);
    this.#u64(size);
    this.totals.files += 1;
  }

  /** A block of the file begun; its bytes are what `room` gave last. */
  block(offset: number, length: number, hash: Uint8Array, pageBits: number): void {
    this.#begin(ops.data);
    this.#range(offset, length, pageBits);
    this.#put(hash);
    this.#commit(length);
  }

  zeros(offset: number, length: number, pageBits: number): void {
    this.#begin(ops.zero);
    this.#range(offset, length, pageBits);
  }

  hole(offset: number, length: number): void {
    this.#begin(ops.hole);
    this.#u64(offset);
    this.#u64(length);
  }

  beginSymlink(name: Uint8Array, metadata: Metadata, target: Uint8Array): void {
    this.arrive();
    this.reserve(OP_MAX_BYTES + target.length, 0);
    this.#start(ops.symlink, name);
    this.#metadata(metadata);
    this.#name(target);
    this.totals.files += 1;
  }

  beginNode(name: Uint8Array, metadata: Metadata, type: number, major: number, minor: number): void {
    this.#start(ops.node, name);
    this.#metadata(metadata);
    this.#u8(type);
    this.#u32(major);
    this.#u32(minor);
    this.totals.files += 1;
  }

  beginTouch(name: Uint8Array, metadata: Metadata): void {
    this.#start(ops.touch, name);
    this.#metadata(metadata);
    this.totals.files += 1;
  }

  beginDirectory(metadata: Metadata): void {
    this.arrive();
    this.#begin(ops.dir);
    this.#metadata(metadata);
  }

  xattr(name: Uint8Array, value: Uint8Array): void {
    this.room(value.length).set(value);
    this.#begin(ops.xattr);
    this.#name(name);
    this.#u32(value.length);
    this.#dataStart -= value.length;
  }

  done(allAttributes: boolean): void {
    this.#begin(ops.done);
    this.#u8(allAttributes ? 1 : 0);
  }

  /** Where to put the data of the op that is written next. */
  room(length: number): Buffer {
    this.reserve(OP_MAX_BYTES, length);
    return this.#bytes.subarray(this.#dataStart - length, this.#dataStart);
  }

  reserve(opBytes: number, dataBytes: number): void {
    // Always leaves room for the PROGRESS that ends the frame.
    if (this.#dataStart - this.#opsEnd < opBytes + dataBytes + 16) this.flush();
  }

  /** Sends what there is, and has a fresh frame. */
  flush(): void {
    this.#bytes.writeUInt8(ops.progress, this.#opsEnd);
    this.#opsEnd += 1;
    this.#u32(this.progress.filesDone);
    this.#u64(this.progress.bytesDone);
    this.#digest.update(this.#bytes.subarray(0, this.#opsEnd));
    this.#link.send(frameKinds.ops, this.#buffer, this.#opsEnd, this.#dataStart, FRAME_MAX_BYTES - this.#dataStart);
    this.#onFlush();
    this.#buffer = this.#link.acquire();
    this.#bytes = Buffer.from(this.#buffer);
    this.#opsEnd = 0;
    this.#dataStart = FRAME_MAX_BYTES;
  }

  /** Over all ops, and through their hashes over all data. */
  finish(): string {
    this.flush();
    return this.#digest.digest('hex');
  }

  /** An op that names an entry of the current directory. */
  #start(code: OpCode, name: Uint8Array): void {
    this.arrive();
    this.#begin(code);
    this.#name(name);
  }

  #begin(code: OpCode): void {
    this.reserve(OP_MAX_BYTES, 0);
    this.#u8(code);
  }

  #commit(length: number): void {
    this.#dataStart -= length;
    this.totals.bytes += length;
  }

  #range(offset: number, length: number, pageBits: number): void {
    this.#u64(offset);
    this.#u32(length);
    this.#u32(pageBits);
  }

  #metadata(metadata: Metadata): void {
    this.#u32(metadata.mode);
    this.#u32(metadata.uid);
    this.#u32(metadata.gid);
    const high = Math.floor(metadata.mtimeSeconds / 0x1_0000_0000);
    this.#u32(metadata.mtimeSeconds - high * 0x1_0000_0000);
    this.#bytes.writeInt32LE(high, this.#opsEnd);
    this.#opsEnd += 4;
    this.#u32(metadata.mtimeNanoseconds);
  }

  /** `name` comes with its NUL. */
  #name(name: Uint8Array): void {
    this.#bytes.writeUInt16LE(name.length - 1, this.#opsEnd);
    this.#opsEnd += 2;
    this.#put(name);
  }

  #put(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#opsEnd);
    this.#opsEnd += bytes.length;
  }

  #u8(value: number): void {
    this.#bytes.writeUInt8(value, this.#opsEnd);
    this.#opsEnd += 1;
  }

  #u32(value: number): void {
    this.#bytes.writeUInt32LE(value, this.#opsEnd);
    this.#opsEnd += 4;
  }

  #u64(value: number): void {
    this.#bytes.writeUInt32LE(value % 0x1_0000_0000, this.#opsEnd);
    this.#bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), this.#opsEnd + 4);
    this.#opsEnd += 8;
  }
}
