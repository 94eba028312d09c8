import { request } from 'node:http';
import { join } from 'node:path';
import { commandName, processesOf } from './cgroup.ts';
import { hostRoot, requireInit } from './enter.ts';
import { serviceGroup, startService } from './service.ts';
import type { Lab, LabHost } from './state.ts';
import { waitUntil } from './wait-until.ts';

const service = 'dockerd';

/** Docker's socket, as the machine sees it while the host is up. */
export function dockerSocket(lab: Lab, host: LabHost): string {
  // Not /var/run: that is an absolute link, which would lead to the machine's own /run.
  return join(hostRoot(requireInit(lab, host)), 'run/docker.sock');
}

function ping(socketPath: string): Promise<true | undefined> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path: '/_ping', timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? true : undefined);
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(undefined)); // not there yet
    call.end();
  });
}

/** Its containers' own processes are in the same group: systemd spares them as well (KillMode=process). */
function dockerProcesses(lab: Lab, host: LabHost): number[] {
  return processesOf(serviceGroup(lab, host, service)).filter((pid) => commandName(pid) === service);
}

/** Starts the host's Docker daemon and waits until it answers. */
export async function startDocker(lab: Lab, host: LabHost): Promise<void> {
  const socket = dockerSocket(lab, host);
  await startService(lab, host, service, [service, '--host=unix:///var/run/docker.sock', '--experimental']);
  await waitUntil(`Docker answers on ${host.name} (see \`cargo-lab logs\`)`, 60_000, () => ping(socket));
}

export function signalDocker(lab: Lab, host: LabHost, signal: NodeJS.Signals): void {
  for (const pid of dockerProcesses(lab, host)) process.kill(pid, signal);
}

/** Ends the Docker daemon where it runs, which stops its containers, and starts it. */
export async function restartDocker(lab: Lab, host: LabHost): Promise<void> {
  signalDocker(lab, host, 'SIGTERM');
  const gone = () => (dockerProcesses(lab, host).length === 0 ? true : undefined);
  await waitUntil(`the Docker daemon of ${host.name} ends`, 30_000, gone).catch(() =>
    signalDocker(lab, host, 'SIGKILL'),
  );
  await startDocker(lab, host);
}
