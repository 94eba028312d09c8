import { closeSync, fstatSync, fsync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CargoError } from '../../api/cargo-error.ts';

/** One file that waits for its content: what it is here, and which file of the source it stands for. */
export type Placeholder = {
  /** The source's number for it. */
  file: number;
  /** Inode number at the target. */
  inode: number;
  /** At the source; nothing is ever written at or above it. */
  size: number;
  mtimeSeconds: number;
  /** Takes less room than its size, so it has holes. */
  isSparse: boolean;
  /** As handleOf gives it. */
  handle: Buffer;
};

/** 0 f64 inode, 8 f64 size, 16 f64 mtime, 24 u32 file, 28 u8 sparse, 29 u8 length of the handle, 32 handle. */
const RECORD_BYTES = 96;
const HANDLE_MAX_BYTES = 64;
const HEAD_BYTES = 16;
const MAGIC = 'cargo-lazy-2';
const BATCH = 1024;

const syncOf = promisify(fsync);
const indexPath = (stateDir: string): string => join(stateDir, 'placeholders');

/** Writes the list of placeholders; it counts once `finish` has returned. */
export class PlaceholderWriter implements Disposable {
  readonly #stateDir: string;
  readonly #fd: number;
  readonly #batch = Buffer.alloc(BATCH * RECORD_BYTES);
  #filled = 0;
  count = 0;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.#fd = openSync(`${indexPath(stateDir)}.new`, 'w', 0o600);
    writeSync(this.#fd, Buffer.from(MAGIC.padEnd(HEAD_BYTES)));
  }

  add(placeholder: Placeholder): void {
    const { handle, inode, size, mtimeSeconds, file, isSparse } = placeholder;
    if (handle.length > HANDLE_MAX_BYTES || !Number.isSafeInteger(inode)) {
      throw new CargoError('BLOCKED', 'The file system names its files in a way that the lazy engine does not know.');
    }
    const at = this.#filled * RECORD_BYTES;
    const bytes = this.#batch.fill(0, at, at + RECORD_BYTES);
    bytes.writeDoubleLE(inode, at);
    bytes.writeDoubleLE(size, at + 8);
    bytes.writeDoubleLE(mtimeSeconds, at + 16);
    bytes.writeUInt32LE(file, at + 24);
    bytes.writeUInt8(isSparse ? 1 : 0, at + 28);
    bytes.writeUInt8(handle.length, at + 29);
    handle.copy(bytes, at + 32);
    this.#filled += 1;
    this.count += 1;
    if (this.#filled === BATCH) this.#flush();
  }

  /** Its content is on the disk on return, its name with the volume's record. */
  async finish(): Promise<void> {
    this.#flush();
    await syncOf(this.#fd);
    renameSync(`${indexPath(this.#stateDir)}.new`, indexPath(this.#stateDir));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #flush(): void {
    writeSync(this.#fd, this.#batch, 0, this.#filled * RECORD_BYTES);
    this.#filled = 0;
  }
}

/** The list, read from disk record by record: a million files cost no memory. */
export class PlaceholderList implements Disposable {
  readonly #fd: number;
  readonly #record = Buffer.alloc(RECORD_BYTES);
  readonly count: number;

  constructor(stateDir: string) {
    this.#fd = openSync(indexPath(stateDir), 'r');
    const head = Buffer.alloc(HEAD_BYTES);
    readSync(this.#fd, head, 0, HEAD_BYTES, 0);
    if (head.toString('latin1').trimEnd() !== MAGIC) throw damaged();
    const length = fstatSync(this.#fd).size;
    this.count = (length - HEAD_BYTES) / RECORD_BYTES;
    if (!Number.isInteger(this.count)) throw damaged();
  }

  at(slot: number): Placeholder {
    const bytes = this.#record;
    const got = readSync(this.#fd, bytes, 0, RECORD_BYTES, HEAD_BYTES + slot * RECORD_BYTES);
    if (got !== RECORD_BYTES) throw damaged();
    return { ...fieldsAt(bytes, 0), handle: Buffer.from(bytes.subarray(32, 32 + bytes.readUInt8(29))) };
  }

  /** All of them in their order, without the handles; read in large pieces. */
  *all(): Generator<Omit<Placeholder, 'handle'>> {
    const batch = Buffer.alloc(BATCH * RECORD_BYTES);
    for (let slot = 0; slot < this.count; slot += BATCH) {
      const length = Math.min(BATCH, this.count - slot) * RECORD_BYTES;
      if (readSync(this.#fd, batch, 0, length, HEAD_BYTES + slot * RECORD_BYTES) !== length) throw damaged();
      for (let at = 0; at < length; at += RECORD_BYTES) yield fieldsAt(batch, at);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function fieldsAt(bytes: Buffer, at: number): Omit<Placeholder, 'handle'> {
  return {
    inode: bytes.readDoubleLE(at),
    size: bytes.readDoubleLE(at + 8),
    mtimeSeconds: bytes.readDoubleLE(at + 16),
    file: bytes.readUInt32LE(at + 24),
    isSparse: bytes.readUInt8(at + 28) === 1,
  };
}

function damaged(): CargoError {
  return new CargoError('INTERNAL', 'The list of placeholders on disk is damaged.');
}
