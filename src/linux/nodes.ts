import { bind, type CString, check } from './libc.ts';

const mknodat = bind('int mknodat(int dirfd, void *path, uint mode, uint64 dev)');

/** mknodat(2): FIFO, socket, character or block device; `mode` holds the type. */
export function makeNodeAt(dirfd: number, name: CString, mode: number, major: number, minor: number): void {
  check(mknodat(dirfd, name, mode, deviceNumber(major, minor)), 'mknodat', name);
}

/** As gnu_dev_makedev of sys/sysmacros.h lays it out. */
function deviceNumber(major: number, minor: number): bigint {
  const [a, b] = [BigInt(major), BigInt(minor)];
  return ((a & 0xfffn) << 8n) | ((a & ~0xfffn) << 32n) | (b & 0xffn) | ((b & ~0xffn) << 12n);
}
