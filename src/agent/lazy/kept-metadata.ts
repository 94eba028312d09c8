import { cstring } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { setMtime } from '../../linux/times.ts';
import { getXattr, setXattr, XATTR_MAX_BYTES } from '../../linux/xattr.ts';

const CAPABILITY = cstring('security.capability');
const value = Buffer.alloc(XATTR_MAX_BYTES);
const stat = new Stat();

/**
 * Runs an act that writes into a file, and puts back what every write changes besides the content: the modification time
 * as it was just before, and the capabilities, which the kernel takes from a file that is written to.
 */
export function keepingMetadata(fd: number, act: () => void): void {
  const { mtimeSeconds, mtimeNanoseconds } = stat.readFd(fd);
  const length = getXattr(fd, CAPABILITY, value);
  const capability = length < 0 ? null : Buffer.from(value.subarray(0, length));
  try {
    act();
  } finally {
    if (capability !== null) setXattr(fd, CAPABILITY, capability);
    setMtime(fd, mtimeSeconds, mtimeNanoseconds);
  }
}
