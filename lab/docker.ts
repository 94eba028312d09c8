import { request } from 'node:http';
import { join } from 'node:path';
import { hostRoot, requireInit } from './enter.ts';
import { startService } from './service.ts';
import type { Lab, LabHost } from './state.ts';
import { waitUntil } from './wait-until.ts';

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

/** Starts the host's Docker daemon and waits until it answers. */
export async function startDocker(lab: Lab, host: LabHost): Promise<void> {
  const socket = dockerSocket(lab, host);
  await startService(lab, host, 'dockerd', ['dockerd', '--host=unix:///var/run/docker.sock', '--experimental']);
  await waitUntil(`Docker answers on ${host.name} (see \`cargo-lab logs\`)`, 60_000, () => ping(socket));
}
