import { closeSync, existsSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { isErrno } from './libc.ts';

/** The system call in which a thread sleeps: its number in its own ABI, its arguments, and its stack pointer. */
export type BlockedCall = { number: number; args: readonly number[]; stack: number };

/**
 * Reads /proc/<tid>/syscall. `running`: the thread is on its way to sleep, ask again; null: there is no such thread to be
 * seen. Arguments above 2^53 are rounded, which flags never are.
 */
export function readBlockedCall(tid: number): BlockedCall | 'running' | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${tid}/syscall`, 'latin1').trim();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EPERM', 'EACCES')) return null;
    throw error;
  }
  if (text === 'running') return 'running';
  const [number = -1, ...rest] = text.split(' ').map(Number);
  return { number, args: rest.slice(0, 6), stack: rest[6] ?? 0 };
}

/** What lies there in the memory of a thread's process (/proc/<tid>/mem); null where that, or all of it, can't be read. */
export function readMemory(tid: number, address: number, length: number): Buffer | null {
  let fd = -1;
  try {
    fd = openSync(`/proc/${tid}/mem`, 'r');
    const bytes = Buffer.alloc(length);
    return readSync(fd, bytes, 0, length, address) === length ? bytes : null;
  } catch {
    return null;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/** Whether there is such a thread; 0 stands for one that can't be seen from here. */
export function isThread(tid: number): boolean {
  return tid === 0 || existsSync(`/proc/${tid}`);
}

/** What a thread calls itself, and the name of the program that it runs; empty where it can't be told. */
export function programNames(tid: number): string[] {
  return [
    orNothing(() => readFileSync(`/proc/${tid}/comm`, 'utf8').trim()),
    orNothing(() => basename(readlinkSync(`/proc/${tid}/exe`))),
  ];
}

/** The cgroups that a thread is in, as proc(5) shows them; empty where it can't be told. */
export function cgroupOf(tid: number): string {
  return orNothing(() => readFileSync(`/proc/${tid}/cgroup`, 'utf8'));
}

function orNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
