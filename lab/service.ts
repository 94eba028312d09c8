import { join } from 'node:path';
import { killCgroup, processesOf, signalAll } from './cgroup.ts';
import { enterCommand, hostGroup } from './enter.ts';
import { run } from './run.ts';
import type { Lab, LabHost } from './state.ts';
import { waitUntil } from './wait-until.ts';

export const logFile = (service: string) => `/var/log/${service}.log`;

/** The cgroup by which a service of a host, or of the server's machine, is found and ended. */
export const serviceGroup = (lab: Lab, host: LabHost, service: string) => join(hostGroup(lab, host), service);

/** A command that goes on by itself in the host, its output in a file there. */
export async function startService(
  lab: Lab,
  host: LabHost,
  service: string,
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<void> {
  // The shell ends at once, so the command becomes a child of the host's own process 1.
  const script = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 &';
  const wrapped = ['sh', '-c', script, 'sh', logFile(service), ...command];
  const [shell, ...args] = enterCommand(lab, host, wrapped, { service, env });
  await run(shell, args);
}

/** Ends a service as systemd does: SIGTERM, then SIGKILL for what is left after the limit. */
export async function stopService(group: string, limitMs: number): Promise<void> {
  signalAll(group, 'SIGTERM');
  const gone = () => (processesOf(group).length === 0 ? true : undefined);
  await waitUntil(`${group} ends`, limitMs, gone).catch(() => killCgroup(group));
}
