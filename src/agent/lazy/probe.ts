import { statfsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { CargoError } from '../../api/cargo-error.ts';
import { createContentGroup, markInode } from '../../linux/fanotify.ts';
import { handleOf } from '../../linux/file-handle.ts';
import { cstring, isErrno } from '../../linux/libc.ts';
import { close, O_DIRECTORY, O_RDWR, openAt, openDirectory } from '../../linux/open.ts';
import { HOLDER_MARK } from './holders.ts';
import { commandOf, environmentOf, fanotifyGroups, openFiles } from './processes.ts';

const O_TMPFILE = 0o20000000 | O_DIRECTORY;
/** Kernel memory that a placeholder pins until it is complete: its inode, and the mark. */
const BYTES_A_PLACEHOLDER = 1300;
const SHARE_OF_MEMORY = 0.1;
/** FAN_CLASS_CONTENT and FAN_CLASS_PRE_CONTENT: groups that other processes wait for. */
const PERMISSION_CLASSES = 0x4 | 0x8;

const LOOKS = 10;
const LOOK_PAUSE_MS = 50;

const names = new Map([
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
  [0x65735546, 'FUSE'],
  [0x9fa0, 'proc'],
  [0x6969, 'NFS'],
]);

/**
 * Finds out whether a directory's content may arrive lazily on this host. Changes nothing: what it tries, it tries on a file
 * without a name.
 * @throws CargoError BLOCKED with a sentence that says why not
 */
export function probe(path: string): void {
  const group = openGroup();
  try {
    probeFileSystem(path, group);
  } finally {
    close(group);
  }
  const listener = otherListener();
  if (listener !== null) {
    throw blocked(
      `${listener} on this host decides about accesses to files, too (fanotify): the two could wait for each other, and what it reads itself would not be noticed.`,
    );
  }
}

/** @throws CargoError BLOCKED when this host's kernel can't keep so many files waiting */
export function refuseTooMany(placeholders: number): void {
  if (placeholders * BYTES_A_PLACEHOLDER <= totalmem() * SHARE_OF_MEMORY) return;
  throw blocked(
    `${placeholders} files would wait for their content, and the kernel would hold ${Math.round((placeholders * BYTES_A_PLACEHOLDER) / 2 ** 20)} MiB for them: more than a tenth of this host's memory.`,
  );
}

/** @throws CargoError BLOCKED when a process has one of these files open: it would never be noticed */
export function refuseOpenFiles(device: bigint, isPlaceholder: (inode: bigint) => boolean): void {
  for (const { pid, stat } of openFiles()) {
    if (stat.dev !== device || !isPlaceholder(stat.ino)) continue;
    throw blocked(`Process ${pid} (${commandOf(pid)}) has a file of the volume open, from before it was protected.`);
  }
}

function openGroup(): number {
  try {
    return createContentGroup();
  } catch (cause) {
    if (isErrno(cause, 'EPERM')) throw blocked('The agent lacks the privilege CAP_SYS_ADMIN that it takes.', cause);
    throw blocked("This host's kernel has no pre-content events: Linux 6.14 is the first that has.", cause);
  }
}

function probeFileSystem(path: string, group: number): void {
  const directory = openDirectory(path);
  const fileSystem = names.get(statfsSync(path).type) ?? 'Its file system';
  let file = -1;
  try {
    file = openAt(directory, cstring('.'), O_TMPFILE | O_RDWR, 0o600);
    handleOf(file);
    markInode(group, file);
  } catch (cause) {
    if (isErrno(cause, 'EINVAL')) throw blocked("This host's kernel is older than 6.14.", cause);
    if (!isErrno(cause, 'ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'ENOENT', 'EROFS')) throw cause;
    throw blocked(`${path} can't be filled this way: ${fileSystem} has no pre-content events.`, cause);
  } finally {
    if (file >= 0) close(file);
    close(directory);
  }
}

/** One that is there only for a moment is another process that probes, as this one does. */
function otherListener(): string | null {
  for (let looks = 1; ; looks += 1) {
    const found = listenerNow();
    if (found === null || looks === LOOKS) return found;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_PAUSE_MS);
  }
}

function listenerNow(): string | null {
  for (const { pid, flags } of fanotifyGroups()) {
    const isOurs = environmentOf(pid).some((line) => line.startsWith(HOLDER_MARK));
    if ((flags & PERMISSION_CLASSES) !== 0 && !isOurs) return `${commandOf(pid)} (process ${pid})`;
  }
  return null;
}

function blocked(message: string, cause?: unknown): CargoError {
  return new CargoError('BLOCKED', message, { cause });
}
