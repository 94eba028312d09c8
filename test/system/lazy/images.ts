import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stopFileSystem } from '../../../lab/power-cut.ts';

const UNMOUNT_TRIES = 1000;

export const fileSystems = ['ext4', 'xfs', 'btrfs'] as const;
export type FileSystem = (typeof fileSystems)[number];

/** A file system of its own in an image, mounted; both are gone at the end. */
export class Image implements Disposable {
  readonly kind: FileSystem;
  readonly directory: string;
  readonly path: string;
  readonly #kind: FileSystem;
  readonly #image: string;

  /** `parent`: where the image lies; in memory it is fast. */
  constructor(kind: FileSystem, megabytes = 1024, parent = '/var/tmp') {
    this.kind = kind;
    this.directory = fs.mkdtempSync(join(parent, 'cargo-lazy-'));
    this.path = join(this.directory, 'mount');
    fs.mkdirSync(this.path);
    this.#kind = kind;
    const image = join(this.directory, 'image');
    this.#image = image;
    fs.writeFileSync(image, '');
    fs.truncateSync(image, megabytes * 2 ** 20);
    const force = kind === 'ext4' ? '-F' : '-f';
    execFileSync(`mkfs.${kind}`, ['-q', force, image]);
    execFileSync('mount', ['-o', 'loop', image, this.path]);
  }

  /** The power goes, with what had not reached the disk, and comes back; `endAll` ends whoever uses the file system. */
  async cutPower(endAll: () => Promise<void>): Promise<void> {
    await stopFileSystem(this.#kind, this.path, this.#image);
    await endAll();
    // Threads of those that were killed may still have to come back from the disk.
    while (spawnSync('umount', [this.path]).status !== 0) await delay(20);
    execFileSync('mount', ['-o', 'loop', this.#image, this.path]);
  }

  [Symbol.dispose](): void {
    // Processes that were killed a moment ago may still hold on to it.
    for (let tries = 0; spawnSync('umount', [this.path]).status !== 0; tries += 1) {
      if (tries === UNMOUNT_TRIES) throw new Error(`${this.path} stays busy`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}
