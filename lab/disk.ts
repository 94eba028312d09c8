import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { CargoError } from '../src/api/cargo-error.ts';
import { diskImage, hostDir } from './paths.ts';
import { run } from './run.ts';
import type { FileSystem } from './state.ts';
import { waitUntil } from './wait-until.ts';

const units = { M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const;
/** XFS and Btrfs refuse to be made smaller; ext4 would, but Docker wants room as well. */
const leastBytes = 512 * units.M;

/** `20G`, `700M` in bytes. @throws CargoError BAD_REQUEST */
export function parseSize(text: string): number {
  const match = /^(\d{1,6})([MGT])$/.exec(text);
  const bytes = match === null ? 0 : Number(match[1]) * units[match[2] as keyof typeof units];
  if (bytes < leastBytes)
    throw new CargoError('BAD_REQUEST', `a disk size is a number and M, G or T, from 512M: not ${text}`);
  return bytes;
}

const makers: Record<FileSystem, string[]> = {
  // The journal and tables of a sparse image are holes: nothing needs to be written over.
  ext4: ['mkfs.ext4', '-q', '-E', 'nodiscard,lazy_itable_init=1,lazy_journal_init=1'],
  xfs: ['mkfs.xfs', '-q', '-K'],
  btrfs: ['mkfs.btrfs', '-q', '-K'],
};

/** Makes the host's disk: a sparse file that takes only as much room as is written to it. */
export async function createDisk(lab: string, host: string, fs: FileSystem, bytes: number): Promise<void> {
  const image = diskImage(lab, host);
  for (const mountPoint of ['disk', 'root']) mkdirSync(join(hostDir(lab, host), mountPoint), { recursive: true });
  closeSync(openSync(image, 'w', 0o600));
  await truncate(image, bytes);
  const [maker = '', ...options] = makers[fs];
  await run(maker, [...options, image]);
}

/** The loop device goes with the last mount of the host's mount namespace, a moment after its last process. */
export async function diskReleased(lab: string, host: string, limitMs = 15_000): Promise<void> {
  const image = diskImage(lab, host);
  if (!existsSync(image)) return;
  await waitUntil(
    `the disk of ${host} is unmounted: does a process of the machine have a file of it open?`,
    limitMs,
    async () => ((await run('losetup', ['--associated', image])) === '' ? true : undefined),
  );
}
