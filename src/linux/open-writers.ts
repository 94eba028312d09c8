import { readdirSync, readFileSync, statSync } from 'node:fs';
import { isErrno } from './libc.ts';

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
  return visitLoopDevices(device, visit);
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

/** The kernel itself holds these files open. */
function visitLoopDevices(device: bigint, visit: (inode: bigint) => void): boolean {
  for (const name of entries('/sys/block').filter((block) => block.startsWith('loop'))) {
    const path = text(`/sys/block/${name}/loop/backing_file`).trimEnd();
    if (path === '') continue;
    const stat = statOf(path);
    if (stat === null) return false;
    if (stat.dev === device) visit(stat.ino);
  }
  return true;
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
