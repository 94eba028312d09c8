import { spawn } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { isErrno } from '../../linux/libc.ts';
import { close } from '../../linux/open.ts';
import { takeDescriptor } from '../../linux/pidfd.ts';
import type { Holder } from './volume-record.ts';

/** The descriptor of a holder that is the group. */
const GROUP_FD = 3;
/** In a holder's environment, so that it is known as one of ours. */
export const HOLDER_MARK = 'CARGO_LAZY_HOLDER';

/**
 * Starts a process that does nothing but keep the event group open. `launcher`: a command in front of it that takes it out of
 * this process's cgroup, which systemd ends as a whole: it must pass descriptor 3 on and become the holder (exec).
 */
export function startHolder(group: number, stateDir: string, launcher: readonly string[]): Holder {
  const [command = 'sleep', ...args] = [...launcher, 'sleep', 'infinity'];
  const child = spawn(command, args, {
    cwd: '/',
    detached: true,
    env: { PATH: process.env['PATH'], [HOLDER_MARK]: stateDir },
    stdio: ['ignore', 'ignore', 'ignore', group],
  });
  child.unref();
  const startTime = child.pid === undefined ? null : startTimeOf(child.pid);
  if (child.pid === undefined || startTime === null) throw new Error(`${command} can't be started`);
  return { pid: child.pid, startTime };
}

export function isAlive({ pid, startTime }: Holder): boolean {
  return startTimeOf(pid) === startTime;
}

/** The group, from a holder that lives and has it; null when no holder does. */
export function takeGroup(holders: readonly Holder[]): number | null {
  for (const holder of holders.filter(isAlive)) {
    try {
      const fd = takeDescriptor(holder.pid, GROUP_FD);
      if (isAlive(holder) && readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[fanotify]') return fd;
      close(fd);
    } catch (error) {
      if (!isErrno(error, 'ESRCH', 'EBADF')) throw error;
    }
  }
  return null;
}

export function endHolder(holder: Holder): void {
  if (isAlive(holder)) process.kill(holder.pid, 'SIGKILL');
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
