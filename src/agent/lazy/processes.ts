import { type BigIntStats, readdirSync, readFileSync, statSync } from 'node:fs';

/** A descriptor or a mapping of some process. */
export type OpenFile = { pid: number; stat: BigIntStats };

/** Every file that any process but this one has open or mapped, as far as the processes stay while they are looked at. */
export function* openFiles(): Generator<OpenFile> {
  for (const pid of processIds()) {
    for (const folder of ['fd', 'map_files']) {
      for (const name of names(`/proc/${pid}/${folder}`)) {
        const stat = statOf(`/proc/${pid}/${folder}/${name}`);
        if (stat?.isFile()) yield { pid, stat };
      }
    }
  }
}

/** The fanotify groups of all processes but this one, by the flags that they were made with. */
export function* fanotifyGroups(): Generator<{ pid: number; flags: number }> {
  for (const pid of processIds()) {
    for (const name of names(`/proc/${pid}/fdinfo`)) {
      const flags = /^fanotify flags:([0-9a-f]+)/m.exec(text(`/proc/${pid}/fdinfo/${name}`))?.[1];
      if (flags !== undefined) yield { pid, flags: Number.parseInt(flags, 16) };
    }
  }
}

export function commandOf(pid: number): string {
  return text(`/proc/${pid}/comm`).trim();
}

export function environmentOf(pid: number): string[] {
  return text(`/proc/${pid}/environ`).split('\0');
}

/** Processes but this one that were started with this line (`name=value`) in their environment. */
export function processesWith(line: string): number[] {
  return processIds().filter((pid) => environmentOf(pid).includes(line));
}

function processIds(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid);
}

function statOf(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return null;
  }
}

function names(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
