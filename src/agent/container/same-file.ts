import { createHash } from 'node:crypto';
import { lstat, readFile } from 'node:fs/promises';
import type { DataMount } from '../../api/container-definition.ts';
import type { Finding } from '../../api/plan.ts';
import { isMissing, resolved } from './host-paths.ts';

/** Files that a container only reads and that are larger are never compared. */
const LIMIT_BYTES = 1024 * 1024;

/** Owner, mode and content of a file of the host, in short; null for anything else, or a large one. */
export async function fingerprintOf(path: string): Promise<string | null> {
  try {
    const stats = await lstat(path);
    if (!stats.isFile() || stats.size > LIMIT_BYTES) return null;
    const hash = createHash('sha256').update(`${stats.mode} ${stats.uid} ${stats.gid}\n`);
    return hash.update(await readFile(path)).digest('hex');
  } catch (thrown) {
    if (isMissing(thrown)) return null;
    throw thrown;
  }
}

/** A file such as /etc/localtime that the container only reads, and that is the same on this host: it stays as it is. */
export async function isSameFileHere(mount: DataMount): Promise<boolean> {
  if (mount.fingerprint === null) return false;
  return (await fingerprintOf(await resolved(mount.name))) === mount.fingerprint;
}

export function sameFileFinding({ name }: DataMount): Finding {
  const message = `${name} is the same file at the target: the container reads that one, nothing is copied`;
  return { level: 'info', code: 'same-file', subject: name, message };
}
