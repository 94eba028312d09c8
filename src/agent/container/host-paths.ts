import { lstat, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';

/** True where `path` is `base` or lies below it. Both absolute and resolved. */
export function isWithin(path: string, base: string): boolean {
  return path === base || path.startsWith(base === '/' ? '/' : `${base}/`);
}

/** True where one is the other or lies below it. */
export function overlaps(a: string, b: string): boolean {
  return isWithin(a, b) || isWithin(b, a);
}

/** The path with its symlinks resolved, as far as it exists. These are paths of the operator, never of a volume. */
export async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const parent = dirname(path);
    if (parent === path) return path;
    const above = await resolved(parent);
    return `${above === '/' ? '' : above}/${path.slice(parent === '/' ? 1 : parent.length + 1)}`;
  }
}

/** Nothing is there: also where what should be a directory above it is a file. */
export function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && (thrown.code === 'ENOENT' || thrown.code === 'ENOTDIR');
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (thrown) {
    if (isMissing(thrown)) return false;
    throw thrown;
  }
}
