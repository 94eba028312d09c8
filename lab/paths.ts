import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** What stands on the machine: one folder a lab while it is up, and a cache that outlives them all. */
export const stateRoot = '/var/lib/cargo-lab';
export const cacheRoot = '/var/cache/cargo-lab';

/** The clone that this lab belongs to; hosts see it read-only at /opt/cargo. */
export const cloneRoot = join(import.meta.dirname, '..');

/**
 * Every host's /var/cache/cargo (src/agent/small-memory.sh), a clone its own: else each new host would strip and compile
 * the same sources once more.
 */
export function codeCache(): string {
  const path = join(cacheRoot, `code-${createHash('sha256').update(cloneRoot).digest('hex').slice(0, 8)}`);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

export const labDir = (lab: string) => join(stateRoot, lab);
export const hostDir = (lab: string, host: string) => join(stateRoot, lab, host);
export const diskImage = (lab: string, host: string) => join(hostDir(lab, host), 'disk.img');
export const serverDir = (lab: string) => join(stateRoot, lab, 'server');
