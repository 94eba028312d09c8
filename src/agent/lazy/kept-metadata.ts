import { cstring } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { setMtime, setMtimeOf } from '../../linux/times.ts';
import { getXattr, setXattr, setXattrOf, XATTR_MAX_BYTES } from '../../linux/xattr.ts';

const CAPABILITY = cstring('security.capability');
/** The kernel's clock for files is that much behind, and somewhat more to be safe. */
const CLOCK_MS = 50;
const value = Buffer.alloc(XATTR_MAX_BYTES);
const stat = new Stat();

/** What every write into a file changes besides its content, as it was before one that began at `since` (Date.now()). */
export type KeptMetadata = {
  since: number;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
  capability: Buffer | null;
};

export function metadataOf(fd: number): KeptMetadata {
  const { mtimeSeconds, mtimeNanoseconds } = stat.readFd(fd);
  const length = getXattr(fd, CAPABILITY, value);
  const capability = length < 0 ? null : Buffer.from(value.subarray(0, length));
  return { since: Date.now(), mtimeSeconds, mtimeNanoseconds, capability };
}

/** Whether nobody has moved the modification time since. */
export function isStillAt(fd: number, kept: KeptMetadata): boolean {
  const { mtimeSeconds, mtimeNanoseconds } = stat.readFd(fd);
  return mtimeSeconds === kept.mtimeSeconds && mtimeNanoseconds === kept.mtimeNanoseconds;
}

/**
 * Puts it back after our write, which was over at `until` (Date.now()); the modification time only if it is of that span: any
 * other was set by a process meanwhile.
 */
export function putBack(fd: number, kept: KeptMetadata, until = Date.now()): void {
  if (kept.capability !== null) setXattr(fd, CAPABILITY, kept.capability);
  if (isOurs(fd, kept, until)) setMtime(fd, kept.mtimeSeconds, kept.mtimeNanoseconds);
}

/** The same through a descriptor with O_PATH: opening the file for more would wait until somebody decides about accesses. */
export function putBackUnopened(handle: number, kept: KeptMetadata, until: number): void {
  const path = cstring(`/proc/self/fd/${handle}`);
  if (kept.capability !== null) setXattrOf(path, CAPABILITY, kept.capability);
  if (isOurs(handle, kept, until)) setMtimeOf(path, kept.mtimeSeconds, kept.mtimeNanoseconds);
}

function isOurs(fd: number, kept: KeptMetadata, until: number): boolean {
  const { mtimeSeconds, mtimeNanoseconds } = stat.readFd(fd);
  const now = mtimeSeconds * 1000 + mtimeNanoseconds / 1e6;
  return now >= kept.since - CLOCK_MS && now <= until + CLOCK_MS;
}
