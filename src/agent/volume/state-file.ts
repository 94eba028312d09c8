import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { z } from 'zod';

/** A small JSON file that is replaced whole and survives a power cut once `write` has returned. */
export class StateFile<S extends z.ZodType> {
  readonly #path: string;
  readonly #schema: S;

  constructor(stateDir: string, name: string, schema: S) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    this.#path = join(stateDir, name);
    this.#schema = schema;
  }

  /** Null if there is none, or none that can be read: then everything is compared anew. */
  read(): z.infer<S> | null {
    if (!existsSync(this.#path)) return null;
    try {
      return this.#schema.parse(JSON.parse(readFileSync(this.#path, 'utf8')));
    } catch {
      return null;
    }
  }

  /** When it was last written, in ns since the epoch by the clock of its file system; null if there is none. */
  writtenAt(): bigint | null {
    return statSync(this.#path, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? null;
  }

  write(value: z.infer<S>): void {
    const fd = openSync(`${this.#path}.new`, 'w', 0o600);
    try {
      writeSync(fd, JSON.stringify(value));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${this.#path}.new`, this.#path);
    this.#syncDirectory();
  }

  remove(): void {
    if (!existsSync(this.#path)) return;
    rmSync(this.#path);
    this.#syncDirectory();
  }

  #syncDirectory(): void {
    const fd = openSync(dirname(this.#path), 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}
