import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { Host } from '../src/api/host.ts';
import { callServer, serverUrl } from './call-server.ts';
import { processesOf } from './cgroup.ts';
import { hostRoot, requireInit } from './enter.ts';
import { FAULT_POINTS, hostFaultPoints } from './fault-points.ts';
import { createJoinToken } from './server.ts';
import { serviceGroup, startService, stopService } from './service.ts';
import type { Lab, LabHost } from './state.ts';
import { waitUntil } from './wait-until.ts';

const service = 'cargo-agent';
const joinTokenFile = '/etc/cargo-join-token';

export const agentGroup = (lab: Lab, host: LabHost) => serviceGroup(lab, host, service);
export const agentProcess = (lab: Lab, host: LabHost): number | undefined => processesOf(agentGroup(lab, host))[0];

/** Puts a join token on the host's disk, where it survives a power cut. */
export async function giveJoinToken(lab: Lab, host: LabHost): Promise<void> {
  const fd = openSync(join(hostRoot(requireInit(lab, host)), joinTokenFile), 'w', 0o600);
  writeSync(fd, await createJoinToken(lab));
  fsyncSync(fd);
  closeSync(fd);
}

export async function startAgent(lab: Lab, host: LabHost): Promise<void> {
  const command = [
    '/opt/cargo/bin/cargo-agent',
    ...['--server', serverUrl(lab), '--join-token-file', joinTokenFile],
    ...['--listen', '0.0.0.0:5005', '--advertise', `${host.address}:5005`, '--name', host.name],
    ...['--data-dir', '/var/lib/cargo', '--docker', 'unix:///var/run/docker.sock'],
    ...['--hydrator-launcher', '/opt/cargo/lab/outside-agent'],
  ];
  await startService(lab, host, service, command, lab.faultPoints ? { [FAULT_POINTS]: hostFaultPoints } : {});
}

export async function stopAgent(lab: Lab, host: LabHost): Promise<void> {
  await stopService(agentGroup(lab, host), 10_000);
}

const Hosts = z.object({ hosts: z.array(Host) });

/** Waits until the server has heard of these hosts since then, and calls them ready. */
export async function agentsReady(lab: Lab, hosts: readonly LabHost[], since: Date): Promise<void> {
  const names = hosts.map(({ name }) => name);
  await waitUntil(`the agents of ${names.join(', ')} are ready`, 60_000, async () => {
    const known = Hosts.parse(await callServer(lab, 'GET', '/v1/hosts')).hosts;
    const ready = known.filter((host) => host.status === 'ready' && new Date(host.lastSeenAt) >= since);
    return names.every((name) => ready.some((host) => host.name === name)) ? true : undefined;
  });
}
