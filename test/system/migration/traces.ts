import type { LabUnderTest } from '../lab.ts';

/** What the engine needs while data follows: the mount over the volume, and processes. */
export async function tracesOfHydration(lab: LabUnderTest, host: string): Promise<string> {
  const look =
    'grep -c cargo-lazy /proc/self/mountinfo; ls -A /run/cargo-lazy; cat /sys/fs/cgroup/pids/hydrators/cgroup.procs';
  return (await lab.exec(host, 'sh', '-c', `{ ${look}; } 2>/dev/null`)).stdout.trim();
}
