import type { FaultLab } from './fault-lab.ts';
import type { HostName } from './names.ts';

/** What protects missing content on a host: none of it is left when all content is here. */
export type EngineProcesses = { hydrators: number[]; holders: number[] };

/** The lab's launcher (`lab/outside-agent`) puts them into a cgroup of their own; a holder is a `sleep`. */
const LIST =
  'for p in $(cat /sys/fs/cgroup/pids/hydrators/cgroup.procs 2>/dev/null || true); do echo $p $(cat /proc/$p/comm 2>/dev/null || true); done';

export async function engineProcesses(lab: FaultLab, host: HostName): Promise<EngineProcesses> {
  const lines = (await lab.shell(host, LIST)).split('\n').map((line) => line.split(' '));
  const pids = (isWanted: (name: string) => boolean): number[] =>
    lines.filter(([, name = '']) => name !== '' && isWanted(name)).map(([pid]) => Number(pid));
  return { hydrators: pids((name) => name !== 'sleep' && name !== 'sh'), holders: pids((name) => name === 'sleep') };
}

/** SIGKILL of them all at once. */
export async function killProcesses(lab: FaultLab, host: HostName, pids: readonly number[]): Promise<void> {
  await lab.shell(host, `kill -9 ${pids.join(' ')}`);
}
