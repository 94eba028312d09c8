import { mkdir, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bindMount, detachMount, isMountPoint } from '../../linux/mount.ts';
import { migrationMark } from './definition-parts.ts';
import { moveOnce } from './gate.ts';
import { exists } from './host-paths.ts';

/** Emptied by every boot, as the mounts in it are. */
const VIEWS = '/run/cargo-lazy';

/**
 * A volume whose content follows must not be seen without what protects it. So on the disk its `_data` stands aside, one
 * directory further down, and Docker can't start the container ("lstat …/_data: no such file or directory"). While it is
 * protected that directory is mounted over the volume's, which has its `_data` then: a boot takes the mount away, and no
 * order of units has to be right for it. Docker unmounts `_data` itself when it starts (volume/local/local.go), but
 * nothing above it.
 */
export type Cover = {
  /** What Docker knows: the volume's directory and the data in it. */
  volume: string;
  data: string;
  /** Where the data's directory is on the disk. */
  aside: string;
  /** Where it can be seen whether the volume is covered or not. */
  view: string;
};

export function coverOf(data: string, migrationId: string, index: number): Cover {
  const volume = dirname(data);
  const mark = migrationMark(migrationId);
  return { volume, data, aside: join(volume, `.cargo-${mark}`), view: join(VIEWS, `${mark}-${index}`) };
}

/** Where the tree can be reached once its view is open. */
export const treeOf = ({ view }: Cover): string => join(view, '_data');

/** Moves the data aside, unless that is done, and makes it visible to the agent alone. */
export async function openView({ volume, data, aside, view }: Cover): Promise<void> {
  if (isMountPoint(view)) return;
  if (!isMountPoint(volume)) {
    await mkdir(aside, { recursive: true, mode: 0o701 });
    await moveOnce(data, join(aside, '_data'));
  }
  await mkdir(view, { recursive: true, mode: 0o700 });
  bindMount(isMountPoint(volume) ? volume : aside, view);
}

/** Whether Docker finds the data. */
export const isCovered = ({ volume }: Cover): boolean => isMountPoint(volume);

/** From now on Docker finds the data. */
export function cover({ volume, view }: Cover): void {
  if (!isMountPoint(volume)) bindMount(view, volume);
}

/** Docker doesn't find it any more; a container that runs keeps what it has. */
export function uncover({ volume }: Cover): void {
  if (isMountPoint(volume)) detachMount(volume);
}

/** Nothing is mounted any more, and Docker doesn't find the data: it stays where it stands. Safe to repeat. */
export async function setAside({ volume, view }: Cover): Promise<void> {
  if (isMountPoint(volume)) detachMount(volume);
  if (isMountPoint(view)) detachMount(view);
  if (await exists(view)) await rmdir(view);
}

/** The data is an ordinary volume's again. Safe to repeat. */
export async function restore({ volume, data, aside, view }: Cover): Promise<void> {
  await setAside({ volume, data, aside, view });
  if (await exists(join(aside, '_data'))) await moveOnce(join(aside, '_data'), data);
  if (await exists(aside)) await rmdir(aside);
}
