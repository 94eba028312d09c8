import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openHandle } from '../../linux/file-handle.ts';
import { isErrno } from '../../linux/libc.ts';
import { close, O_PATH } from '../../linux/open.ts';
import { type KeptMetadata, putBackUnopened } from './kept-metadata.ts';
import type { PlaceholderList } from './placeholders.ts';

/** 0 u32 live, 4 u32 file, 8 f64 since, 16 f64 mtime, 24 u32 its nanoseconds, 28 i32 bytes of the capability or -1, 32 those. */
const RECORD_BYTES = 128;
const CAPABILITY_MAX_BYTES = RECORD_BYTES - 32;
const LIVE = 1;
/** Longer than one write, of at most READ_MAX_BYTES, takes to begin. */
const LONGEST_WRITE_MS = 10_000;

/**
 * Of the one write that the hydrator is in: what it has to put back in that file afterwards. When it is killed in between,
 * the next one does. It needs to outlive a process, not a power cut, so nothing is synced.
 */
export class WriteNote implements Disposable {
  readonly #fd: number;
  readonly #record = Buffer.alloc(RECORD_BYTES);
  readonly #none = Buffer.alloc(4);

  constructor(stateDir: string) {
    this.#fd = openSync(join(stateDir, 'writing'), constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  begin(file: number, { since, mtimeSeconds, mtimeNanoseconds, capability }: KeptMetadata): void {
    const bytes = this.#record;
    if (capability !== null && capability.length > CAPABILITY_MAX_BYTES)
      throw new Error('a capability of unknown form');
    bytes.writeUInt32LE(LIVE, 0);
    bytes.writeUInt32LE(file, 4);
    bytes.writeDoubleLE(since, 8);
    bytes.writeDoubleLE(mtimeSeconds, 16);
    bytes.writeUInt32LE(mtimeNanoseconds, 24);
    bytes.writeInt32LE(capability?.length ?? -1, 28);
    capability?.copy(bytes, 32);
    writeSync(this.#fd, bytes, 0, RECORD_BYTES, 0);
  }

  end(): void {
    writeSync(this.#fd, this.#none, 0, 4, 0);
  }

  /** What the hydrator before this one had not put back. */
  left(): { file: number; kept: KeptMetadata } | null {
    const bytes = this.#record;
    if (readSync(this.#fd, bytes, 0, RECORD_BYTES, 0) < RECORD_BYTES || bytes.readUInt32LE(0) !== LIVE) return null;
    const length = bytes.readInt32LE(28);
    const kept: KeptMetadata = {
      since: bytes.readDoubleLE(8),
      mtimeSeconds: bytes.readDoubleLE(16),
      mtimeNanoseconds: bytes.readUInt32LE(24),
      capability: length < 0 ? null : Buffer.from(bytes.subarray(32, 32 + length)),
    };
    return { file: bytes.readUInt32LE(4), kept };
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/**
 * What an earlier hydrator, killed in the middle of a write, had no time to put back. Only before anybody is let write again: the time of a
 * write of theirs would be taken for that of ours.
 */
export function putBackLeft(note: WriteNote, list: PlaceholderList, mountFd: number): void {
  const left = note.left();
  if (left === null) return;
  try {
    const handle = openHandle(mountFd, list.at(left.file).handle, O_PATH);
    putBackUnopened(handle, left.kept, left.kept.since + LONGEST_WRITE_MS);
    close(handle);
  } catch (error) {
    // It was deleted.
    if (!isErrno(error, 'ESTALE')) throw error;
  }
  note.end();
}
