import { Stat } from '../../linux/stat.ts';
import { writeBack } from '../../linux/sync.ts';
import type { BlockHash } from './block-hash.ts';
import type { BlockListReader } from './block-list.ts';
import { ContentRecorder } from './content-recorder.ts';
import { isRacy } from './entry-recorder.ts';
import { type ContentSink, fullBits, isZeros, readContent, readFully } from './file-content.ts';
import { BLOCK_BYTES } from './format.ts';
import type { NewManifest } from './manifest.ts';
import type { OpWriter } from './op-writer.ts';
import { RACY, type RecordView, STALE } from './record.ts';
import { mayBeUneven } from './reserved-room.ts';
import { noXattrs, type XattrReader } from './xattr-reader.ts';

export type FileSenderOptions = {
  hash: BlockHash;
  manifest: NewManifest;
  earlierBlocks: BlockListReader;
  writer: OpWriter;
  xattrs: XattrReader;
  /** Of larger files only the outline is sent, as if they were one hole. */
  contentLimit: number;
  /** performance.now() until which they are sent whole all the same. */
  wholeUntil: number;
  /** Records of those that are in any case (`freshFiles`). */
  fresh: ReadonlySet<number>;
  poll: () => void;
};

/** Sends what differs of one file, and records what the receiver has afterwards. */
export class FileSender {
  readonly #o: FileSenderOptions;
  readonly #stat = new Stat();
  /** Of the file that is being sent. */
  #isOutline = false;

  constructor(options: FileSenderOptions) {
    this.#o = options;
  }

  /**
   * Stat, write back, read, in this order: a later store through a mapping then moves the ctime beyond the one recorded.
   * @returns false if the file changed while it was read; the next round looks at it again.
   */
  send(fd: number, after: RecordView, before: RecordView | null): boolean {
    this.#stat.readFd(fd);
    after.setStat(this.#stat);
    const flags = (after.flags & ~RACY) | (isRacy(this.#stat) ? RACY : 0);
    after.setFlags(flags);
    this.#isOutline = isOutlined(after, this.#o) && !this.#isWhole(after);
    if (!this.#isOutline) writeBack(fd);
    const digest = this.#o.xattrs.digest(fd, after);
    const isComplete = this.#sendContent(fd, after, before, digest);
    const isQuiet = isComplete && this.#isAsRecorded(fd, after);
    if (!isQuiet) after.setFlags(after.flags | RACY);
    // What the receiver has isn't the content: a round without the limit must send it, changed or not.
    if (this.#isOutline) after.setFlags(after.flags | STALE);
    after.setXattrDigest(digest);
    this.#o.writer.progress.filesDone += 1;
    return isQuiet;
  }

  /** A file that is gone since the scan: what the receiver has stays; where it has none, it gets an empty one. */
  sendVanished(after: RecordView, before: RecordView | null): void {
    const { writer, manifest, earlierBlocks } = this.#o;
    if (before !== null) {
      manifest.keepContent(after, before, earlierBlocks);
    } else {
      writer.beginFile(after.name, after, true, 0);
      writer.done(true);
    }
    after.setFlags(after.flags | STALE);
    writer.progress.filesDone += 1;
  }

  #sendContent(fd: number, after: RecordView, before: RecordView | null, digest: Uint8Array): boolean {
    const isPlain = !mayBeUneven(after.size, after.allocatedBytes, BLOCK_BYTES);
    if (before === null && isPlain && digest === noXattrs) return this.#sendSmall(fd, after);
    const { writer } = this.#o;
    const sink = new FileDifference(this.#o, after, before);
    if (before === null) sink.begin();
    const { size, allocatedBytes } = after;
    const isComplete = this.#isOutline || readContent({ fd, size, allocatedBytes }, this.#o.hash, sink);
    if (this.#isOutline) sink.holes(0, after.size);
    sink.end();
    const xattrsDiffer = before === null || !before.xattrDigest.equals(digest);
    const isSame = before !== null && !before.has(STALE) && before.size === after.size && before.hasSameMetadata(after);
    if (!isSame || xattrsDiffer) sink.begin();
    if (!sink.isBegun) return isComplete;
    // A file that is worked on may lose the room that was reserved.
    const sendsXattrs = xattrsDiffer || this.#o.xattrs.reservedRoom(fd, after) !== null;
    if (sendsXattrs) this.#o.xattrs.forEach(fd, after, (name, value) => writer.xattr(name, value));
    writer.done(sendsXattrs);
    return isComplete;
  }

  #sendSmall(fd: number, after: RecordView): boolean {
    const { writer } = this.#o;
    const length = after.size;
    writer.arrive();
    const bytes = writer.room(length);
    const isComplete = readFully(fd, bytes, 0);
    if (!isComplete) bytes.fill(0);
    const hash = this.#o.hash.of(bytes);
    if (length > 0) after.setOnlyBlock(hash, fullBits(length));
    writer.smallFile(after.name, after, hash, length);
    writer.progress.bytesDone += length;
    return isComplete;
  }

  #isWhole(after: RecordView): boolean {
    return performance.now() < this.#o.wholeUntil || this.#o.fresh.has(after.offset);
  }

  #isAsRecorded(fd: number, after: RecordView): boolean {
    const stat = this.#stat.readFd(fd);
    return (
      stat.size === after.size &&
      stat.mtimeSeconds === after.mtimeSeconds &&
      stat.mtimeNanoseconds === after.mtimeNanoseconds &&
      stat.ctimeSeconds === after.ctimeSeconds &&
      stat.ctimeNanoseconds === after.ctimeNanoseconds
    );
  }
}

/** Whether the receiver may get a hole in place of this file's content. */
export function isOutlined(file: RecordView, { contentLimit }: { contentLimit: number }): boolean {
  return file.size > contentLimit;
}

/** Compares a file's blocks with what the receiver has, and sends those that differ. */
class FileDifference implements ContentSink {
  readonly #o: FileSenderOptions;
  readonly #after: RecordView;
  readonly #before: RecordView | null;
  readonly #recorder: ContentRecorder;
  #scratch: Buffer | null = null;
  isBegun = false;

  constructor(options: FileSenderOptions, after: RecordView, before: RecordView | null) {
    this.#o = options;
    this.#after = after;
    this.#before = before;
    this.#recorder = new ContentRecorder(after, options.manifest.blocks);
    if (before !== null) options.earlierBlocks.begin(before);
  }

  begin(): void {
    if (this.isBegun) return;
    this.isBegun = true;
    this.#o.writer.beginFile(this.#after.name, this.#after, this.#before === null, this.#after.size);
  }

  end(): void {
    this.#recorder.end();
  }

  room(length: number): Buffer {
    if (this.isBegun) return this.#o.writer.room(length);
    this.#scratch ??= Buffer.allocUnsafe(BLOCK_BYTES);
    return this.#scratch.subarray(0, length);
  }

  block(offset: number, bytes: Buffer, hash: Buffer, pageBits: number): void {
    const { writer, poll } = this.#o;
    poll();
    this.#recorder.block(hash, pageBits);
    writer.progress.bytesDone += bytes.length;
    if (this.#hasBlock(hash, pageBits)) return;
    const wasBegun = this.isBegun;
    this.begin();
    if (isZeros(bytes)) {
      writer.zeros(offset, bytes.length, pageBits);
      return;
    }
    if (!wasBegun) writer.room(bytes.length).set(bytes);
    writer.block(offset, bytes.length, hash, pageBits);
  }

  holes(offset: number, length: number): void {
    this.#recorder.holes(length);
    if (this.#before === null) return;
    const { earlierBlocks, poll } = this.#o;
    const count = Math.ceil(length / BLOCK_BYTES);
    for (let done = earlierBlocks.skipHoles(count); done < count; done += earlierBlocks.skipHoles(count - done)) {
      poll();
      const start = offset + done * BLOCK_BYTES;
      if (!earlierBlocks.next()) {
        this.#makeHole(start, offset + length - start);
        return;
      }
      if (earlierBlocks.pageBits !== 0) this.#makeHole(start, Math.min(BLOCK_BYTES, offset + length - start));
      done += 1;
    }
  }

  #makeHole(offset: number, length: number): void {
    this.begin();
    this.#o.writer.hole(offset, length);
  }

  #hasBlock(hash: Buffer, pageBits: number): boolean {
    if (this.#before === null || !this.#o.earlierBlocks.next()) return false;
    return this.#o.earlierBlocks.pageBits === pageBits && this.#o.earlierBlocks.hash.equals(hash);
  }
}
