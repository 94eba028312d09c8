import { spawn } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { isErrno } from '../../linux/libc.ts';
import { close } from '../../linux/open.ts';
import { takeDescriptor } from '../../linux/pidfd.ts';
import { IN_FLIGHT_LINK } from './in-flight.ts';
import { processesWith } from './processes.ts';
import type { Holder } from './volume-record.ts';

/** Descriptors of a holder: the group, and the memory of what was read from it (InFlight). */
const GROUP_FD = 3;
const IN_FLIGHT_FD = 4;
const GROUP_LINK = 'anon_inode:[fanotify]';
/** A shutdown sends SIGTERM to all processes while containers are still ending: those must not read zeros. SIGKILL ends a holder. */
const HOLD = "trap '' TERM INT HUP; exec sleep infinity";
/** In a holder's environment, so that it is known as one of ours. */
export const HOLDER_MARK = 'CARGO_LAZY_HOLDER';
/** The same of one that was started before there was a volume (`startAhead`): no hydrator may take what it holds, unless a record names it. */
export const AHEAD_MARK = `${HOLDER_MARK}_AHEAD`;
export const HOLDERS = 2;

/** Descriptors of what outlives a hydrator. */
export type Kept = { group: number; inFlight: number };

/**
 * Starts a process that does nothing but keep both open, and the root of the tree (`rootFd`): with the file system's last mount the
 * marks would go. `launcher`: a command in front of it that takes it out of this process's cgroup, which systemd ends as a whole: it must
 * pass descriptors 3 to 5 on and become the holder (exec).
 */
export function startHolder(
  { group, inFlight }: Kept,
  { stateDir, rootFd, launcher }: { stateDir: string; rootFd: number; launcher: readonly string[] },
  mark = HOLDER_MARK,
): Holder {
  const [command = 'sh', ...args] = [...launcher, 'sh', '-c', HOLD];
  const child = spawn(command, args, {
    cwd: '/',
    detached: true,
    env: { PATH: process.env['PATH'], [mark]: stateDir },
    stdio: ['ignore', 'ignore', 'ignore', group, inFlight, rootFd],
  });
  child.unref();
  const startTime = child.pid === undefined ? null : startTimeOf(child.pid);
  if (child.pid === undefined || startTime === null) throw new Error(`${command} can't be started`);
  return { pid: child.pid, startTime };
}

export function isAlive({ pid, startTime }: Holder): boolean {
  return startTimeOf(pid) === startTime;
}

/** Both, from a holder that lives and has them; null when no holder does. */
export function takeKept(holders: readonly Holder[]): Kept | null {
  for (const holder of holders.filter(isAlive)) {
    const group = takeOne(holder, GROUP_FD, GROUP_LINK);
    const inFlight = takeOne(holder, IN_FLIGHT_FD, IN_FLIGHT_LINK);
    if (group !== null && inFlight !== null && isAlive(holder)) return { group, inFlight };
    for (const fd of [group, inFlight]) if (fd !== null) close(fd);
  }
  return null;
}

function linkOf(pid: number, fd: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return null;
  }
}

/** `link`: what proc(5) shows for such a descriptor. */
function takeOne({ pid }: Holder, number: number, link: string): number | null {
  try {
    const fd = takeDescriptor(pid, number);
    if (readlinkSync(`/proc/self/fd/${fd}`) === link) return fd;
    close(fd);
  } catch (error) {
    if (!isErrno(error, 'ESRCH', 'EBADF')) throw error;
  }
  return null;
}

export function endHolder(holder: Holder): void {
  if (isAlive(holder)) process.kill(holder.pid, 'SIGKILL');
}

/**
 * Ends what else holds a volume's group, whether its record knows of it or not: a hydrator may be killed before it has written
 * down the holder that it started. Call it when nobody starts one any more.
 */
export function endAllHolders(stateDir: string): void {
  for (const holder of [...findHolders(stateDir), ...findHolders(stateDir, AHEAD_MARK)]) endHolder(holder);
}

/** The processes that hold a volume's group by their mark: a full disk may have kept them from being written down. */
export function findHolders(stateDir: string, mark = HOLDER_MARK): Holder[] {
  return processesWith(`${mark}=${stateDir}`).flatMap((pid) => {
    const startTime = startTimeOf(pid);
    return startTime !== null && linkOf(pid, GROUP_FD) === GROUP_LINK ? [{ pid, startTime }] : [];
  });
}

/** All processes of a volume, its hydrator too, whether its record knows of them or not. */
export function findProcesses(stateDir: string): Holder[] {
  const pids = [HOLDER_MARK, AHEAD_MARK].flatMap((mark) => processesWith(`${mark}=${stateDir}`));
  return pids.flatMap((pid) => {
    const startTime = startTimeOf(pid);
    return startTime === null ? [] : [{ pid, startTime }];
  });
}

/** This process, so that another one can end it. */
export function thisProcess(): Holder {
  return { pid: process.pid, startTime: startTimeOf(process.pid) ?? '' };
}

/** Field 22 of proc_pid_stat(5); null when there is no such process, or only its exit status is left. */
function startTimeOf(pid: number): string | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
}
