import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CargoError } from '../src/api/cargo-error.ts';
import { waitUntil } from './wait-until.ts';

/**
 * Every process of a lab lives in a cgroup of its own: that is how it is found again and ended. Neither a recorded
 * number that another process may have got meanwhile, nor a name, decides whom a signal goes to.
 */
const mountRoot = '/sys/fs/cgroup';

/** The v1 hierarchies of this machine, as `/proc/self/cgroup` names them: `pids`, `cpu,cpuacct`, `name=systemd`. */
export function hierarchies(): { options: string; mount: string }[] {
  return readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .map((line) => line.split(':')[1] ?? '')
    .filter((options) => options !== '')
    .map((options) => ({ options, mount: join(mountRoot, options.replace('name=', '')) }))
    .filter(({ mount }) => existsSync(mount));
}

/** Where a v1 controller's hierarchy is mounted. */
const mountOf = (controller: string) => hierarchies().find(({ options }) => options === controller)?.mount;

/** The hierarchy in which processes are looked up. @throws CargoError INTERNAL on a machine without cgroup v1. */
function trackingMount(): string {
  const mount = mountOf('pids');
  if (mount === undefined) throw new CargoError('INTERNAL', 'the lab needs the cgroup v1 controller `pids`');
  return mount;
}

/** The group's folder in each hierarchy. */
export const foldersOf = (group: string) => hierarchies().map(({ mount }) => join(mount, group));

export function createCgroup(group: string): void {
  for (const { options, mount } of hierarchies()) {
    const folder = join(mount, group);
    mkdirSync(folder, { recursive: true });
    if (options.split(',').includes('cpuset')) {
      // A new cpuset is empty and takes no process until it is filled (cpuset(7)).
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        writeFileSync(join(folder, file), readFileSync(join(folder, '..', file)));
      }
    }
  }
}

/** A group inside a lab's group, in the one hierarchy where processes are looked up. */
export function createServiceCgroup(group: string): string {
  const folder = join(trackingMount(), group);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Processes right in this group, those of groups below not counted. */
export function processesOf(group: string): number[] {
  try {
    const text = readFileSync(join(trackingMount(), group, 'cgroup.procs'), 'utf8');
    return text.split('\n').filter(Boolean).map(Number);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** What a process calls itself; undefined when it is gone. */
export function commandName(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ENODEV' || code === 'ESRCH';
}

export function signalAll(group: string, signal: NodeJS.Signals): void {
  for (const pid of processesOf(group)) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}

function groupsBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const children = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...children.flatMap((entry) => groupsBelow(join(folder, entry.name))), folder];
}

/**
 * From now on no process of the group and below runs a line of its own: one that is in the kernel stops where it would
 * come back from there (freezer of cgroup v1). Does not wait for it. `killCgroup` ends what is stopped.
 */
export function freezeCgroup(group: string): void {
  const mount = mountOf('freezer');
  if (mount !== undefined) writeFileSync(join(mount, group, 'freezer.state'), 'FROZEN');
}

/** A signal reaches a process only when it is not frozen: what `docker pause` froze is let go as well. */
function thawCgroup(group: string): void {
  const mount = mountOf('freezer');
  if (mount === undefined) return;
  for (const folder of groupsBelow(join(mount, group)).reverse()) {
    try {
      writeFileSync(join(folder, 'freezer.state'), 'THAWED');
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}

/** Ends every process in the group and below, and waits until they are gone. */
export async function killCgroup(group: string): Promise<void> {
  const root = trackingMount();
  await waitUntil(`the processes of ${group} are gone`, 20_000, () => {
    const groups = groupsBelow(join(root, group)).map((folder) => folder.slice(root.length + 1));
    const busy = groups.filter((name) => processesOf(name).length > 0);
    for (const name of busy) signalAll(name, 'SIGKILL');
    thawCgroup(group);
    return busy.length === 0 ? true : undefined;
  });
}

/** Removes the empty group, and those below, from every hierarchy. */
export async function removeCgroup(group: string): Promise<void> {
  for (const { mount } of hierarchies()) {
    await waitUntil(`${join(mount, group)} can be removed`, 10_000, () => {
      try {
        for (const folder of groupsBelow(join(mount, group))) rmdirSync(folder);
        return true;
      } catch (error) {
        if (isGone(error)) return true;
        return undefined; // EBUSY: a process that was killed has not quite left
      }
    });
  }
}
