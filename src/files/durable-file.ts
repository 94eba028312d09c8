import { constants } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Behind the file's name until it is whole; a process that was killed may leave one, which the next one replaces. */
export const UNFINISHED = '.unfinished';

/**
 * Replaces a file as a whole, for its owner alone (0600): a crash at any moment leaves the old content or the new one.
 * Returns once the new one is on disk. One writer at a time per path.
 */
export async function replaceDurably(path: string, content: string): Promise<void> {
  await replaceWhole(path, content);
  await syncDirectory(dirname(path));
}

/** The same, but after a power cut it may be the old content that is there. */
export async function replaceWhole(path: string, content: string): Promise<void> {
  const temporary = `${path}${UNFINISHED}`;
  {
    await using file = await open(temporary, 'w', 0o600);
    await file.writeFile(content);
    await file.sync();
  }
  await rename(temporary, path);
}

/** Makes what was created, renamed or removed in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

/** The file's text, or null when there is no such file. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** What the file holds or, the first time, what `make` makes for it. */
export async function readOrMake(path: string, make: () => string | Promise<string>): Promise<string> {
  const there = await readIfThere(path);
  if (there !== null) return there;
  const made = await make();
  await replaceDurably(path, made);
  return made;
}
