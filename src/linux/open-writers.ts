import { readdirSync, readFileSync, statSync } from 'node:fs';
import { AT_FDCWD, bind, check, cstring, isErrno } from './libc.ts';
import { unlinkAt } from './names.ts';
import { makeNodeAt } from './nodes.ts';
import { close, O_RDONLY, openAt } from './open.ts';
import { S_IFBLK } from './stat.ts';

const ioctl = bind('int ioctl(int fd, ulong request, void *argument)');

const O_ACCMODE = 3;

/**
 * Calls back for the inode number of every file that a process has open for writing, or mapped so that it may write to it, and
 * of every file that a loop device writes to. Numbers alone: a file of another file system may have the same one.
 * @returns false if not all of them can be told
 */
export function forEachOpenForWriting(device: bigint, visit: (inode: bigint) => void): boolean {
  for (const pid of entries('/proc').filter((name) => /^\d+$/.test(name))) {
    visitDescriptors(`/proc/${pid}`, device, visit);
    for (const [, inode = '0'] of text(`/proc/${pid}/maps`).matchAll(SHARED_WRITABLE)) visit(BigInt(inode));
  }
  return visitLoopDevices(visit);
}

/** proc_pid_maps(5): address, permissions, offset, device, inode. The device is not always that of stat(2). */
const SHARED_WRITABLE = /^[0-9a-f]+-[0-9a-f]+ .w.s [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+)/gm;

function visitDescriptors(process: string, device: bigint, visit: (inode: bigint) => void): void {
  for (const name of entries(`${process}/fd`)) {
    const stat = statOf(`${process}/fd/${name}`);
    if (stat === null || !stat.isFile() || stat.dev !== device) continue;
    const flags = /^flags:\s*([0-7]+)/m.exec(text(`${process}/fdinfo/${name}`))?.[1] ?? '2';
    if ((Number.parseInt(flags, 8) & O_ACCMODE) !== 0) visit(stat.ino);
  }
}

/** The kernel itself holds these files open; their paths may lead nowhere any more. */
function visitLoopDevices(visit: (inode: bigint) => void): boolean {
  for (const name of entries('/sys/block').filter((block) => block.startsWith('loop'))) {
    if (text(`/sys/block/${name}/loop/backing_file`) === '') continue;
    const inode = inodeBehind(name);
    if (inode === null) return false;
    if (inode !== 0n) visit(inode);
  }
  return true;
}

/** linux/loop.h: struct loop_info64 begins with the device and the inode of the file. */
const LOOP_GET_STATUS64 = 0x4c05;
const LOOP_INFO_BYTES = 232;

/** 0 when the device has let go of its file meanwhile; null when it can't be told. */
function inodeBehind(name: string): bigint | null {
  let fd = -1;
  try {
    fd = openDevice(name);
    const info = Buffer.alloc(LOOP_INFO_BYTES);
    check(ioctl(fd, LOOP_GET_STATUS64, info), 'ioctl', name);
    return info.readBigUInt64LE(8);
  } catch (error) {
    return isErrno(error, 'ENXIO') ? 0n : null;
  } finally {
    if (fd >= 0) close(fd);
  }
}

/** Where `/dev` does not have it (in a namespace of its own), by a node that is there for a moment. */
function openDevice(name: string): number {
  try {
    return openAt(AT_FDCWD, cstring(`/dev/${name}`), O_RDONLY);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  const [major = 0, minor = 0] = text(`/sys/block/${name}/dev`).split(':').map(Number);
  const node = cstring(`/dev/.cargo-${process.pid}-${name}`);
  makeNodeAt(AT_FDCWD, node, S_IFBLK | 0o600, major, minor);
  try {
    return openAt(AT_FDCWD, node, O_RDONLY);
  } finally {
    unlinkAt(AT_FDCWD, node);
  }
}

function statOf(path: string) {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return null;
  }
}

/** What ends while it is looked at has no files any more. */
function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES')) return [];
    throw error;
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return '';
    throw error;
  }
}
