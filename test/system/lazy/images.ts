import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';

export const fileSystems = ['ext4', 'xfs', 'btrfs'] as const;
export type FileSystem = (typeof fileSystems)[number];

/** A file system of its own in an image, mounted; both are gone at the end. */
export class Image implements Disposable {
  readonly kind: FileSystem;
  readonly directory: string;
  readonly path: string;

  /** `parent`: where the image lies; in memory it is fast. */
  constructor(kind: FileSystem, megabytes = 1024, parent = '/var/tmp') {
    this.kind = kind;
    this.directory = fs.mkdtempSync(join(parent, 'cargo-lazy-'));
    this.path = join(this.directory, 'mount');
    fs.mkdirSync(this.path);
    const image = join(this.directory, 'image');
    fs.writeFileSync(image, '');
    fs.truncateSync(image, megabytes * 2 ** 20);
    const force = kind === 'ext4' ? '-F' : '-f';
    execFileSync(`mkfs.${kind}`, ['-q', force, image]);
    execFileSync('mount', ['-o', 'loop', image, this.path]);
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.path]);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}
