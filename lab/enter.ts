import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CargoError } from '../src/api/cargo-error.ts';
import { createServiceCgroup, foldersOf, processesOf } from './cgroup.ts';
import type { Lab, LabHost } from './state.ts';

export const hostGroup = (lab: Lab, host: LabHost) => `cargo-lab-${lab.name}-${host.name}`;

/** The numbers a process has in its pid namespaces, the machine's first; undefined when it is gone. */
function numbersOf(pid: number): number[] | undefined {
  try {
    const line = /^NSpid:(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return line?.[1]?.trim().split(/\s+/).map(Number);
  } catch {
    return undefined; // ended since it was listed
  }
}

/** Process 1 of the host, by its number on the machine: the one in its cgroup that is number 1 one namespace below. */
export function findInit(lab: Lab, host: LabHost): number | undefined {
  return processesOf(hostGroup(lab, host)).find((pid) => {
    const numbers = numbersOf(pid);
    return numbers?.length === 2 && numbers[1] === 1;
  });
}

/** @throws CargoError AGENT_UNREACHABLE when the host is down. */
export function requireInit(lab: Lab, host: LabHost): number {
  const pid = findInit(lab, host);
  if (pid === undefined) {
    throw new CargoError(
      'AGENT_UNREACHABLE',
      `host ${host.name} is down: \`cargo-lab boot ${host.name} --name ${lab.name}\``,
    );
  }
  return pid;
}

/** Where the host's own view of its file system is seen from the machine. */
export const hostRoot = (init: number) => `/proc/${init}/root`;

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The command line that runs a command in a host, in its cgroups and namespaces. `service` puts it into a group of its
 * own below the host's, by which it is found and ended.
 */
export function enterCommand(
  lab: Lab,
  host: LabHost,
  command: readonly string[],
  options: { service?: string; env?: Record<string, string> } = {},
): [string, ...string[]] {
  const init = requireInit(lab, host);
  const groups = foldersOf(hostGroup(lab, host)).map((folder) => join(folder, 'cgroup.procs'));
  if (options.service !== undefined) {
    groups.push(join(createServiceCgroup(join(hostGroup(lab, host), options.service)), 'cgroup.procs'));
  }
  const env = { PATH: path, HOME: '/root', LANG: 'C.UTF-8', TERM: process.env['TERM'] ?? 'dumb', ...options.env };
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
  const joinGroups = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@"';
  return [
    'sh',
    ...['-c', joinGroups, 'sh', ...groups, '--'],
    ...['nsenter', `--target=${init}`, ...namespaces, '--wdns=/root'],
    ...['env', '-i', ...assignments, ...command],
  ];
}
