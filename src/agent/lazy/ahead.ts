import { createContentGroup } from '../../linux/fanotify.ts';
import { close, openDirectory } from '../../linux/open.ts';
import { AHEAD_MARK, endHolder, findHolders, HOLDERS, type Kept, startHolder } from './holders.ts';
import { InFlight } from './in-flight.ts';
import type { Holder } from './volume-record.ts';

/** An event group that marks nothing yet, and the processes that hold it. */
export type Ahead = { kept: Kept; holders: Holder[] };

export function createKept(): Kept {
  return { group: createContentGroup(), inFlight: InFlight.create() };
}

/**
 * Starts the holders of a volume that is not staged yet: that would be downtime later. Whoever did so and learns that there will be no volume
 * ends them. @param root a directory of the file system on which the volume will be
 */
export function startAhead(stateDir: string, root: string, launcher: readonly string[]): Ahead {
  const rootFd = openDirectory(root);
  const holders: Holder[] = [];
  try {
    const kept = createKept();
    while (holders.length < HOLDERS) holders.push(startHolder(kept, { stateDir, rootFd, launcher }, AHEAD_MARK));
    return { kept, holders };
  } catch (error) {
    holders.forEach(endHolder);
    throw error;
  } finally {
    close(rootFd);
  }
}

/** Those of a process that was killed before it could end them. Only while no volume has taken them. */
export function endAhead(stateDir: string): void {
  for (const holder of findHolders(stateDir, AHEAD_MARK)) endHolder(holder);
}
