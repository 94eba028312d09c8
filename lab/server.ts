import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CargoError } from '../src/api/cargo-error.ts';
import { CreateTokenResponse } from '../src/api/join.ts';
import { callServer } from './call-server.ts';
import { createCgroup, createServiceCgroup, foldersOf, processesOf } from './cgroup.ts';
import { hostGroup } from './enter.ts';
import { FAULT_POINTS, serverFaultPoints } from './fault-points.ts';
import { connect } from './network.ts';
import { cloneRoot, serverDir } from './paths.ts';
import { serviceGroup, stopService } from './service.ts';
import type { Lab } from './state.ts';
import { waitUntil } from './wait-until.ts';

const service = 'cargo-server';
export const serverGroup = (lab: Lab) => serviceGroup(lab, lab.server, service);
export const serverLog = (lab: Lab) => join(serverDir(lab.name), `${service}.log`);

export const serverProcess = (lab: Lab): number | undefined => processesOf(serverGroup(lab))[0];

/** The process that keeps the server's network while the server itself comes and goes. */
function networkHolder(lab: Lab): number | undefined {
  const own = readlinkSync('/proc/self/ns/net');
  return processesOf(hostGroup(lab, lab.server)).find((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/net`) !== own;
    } catch {
      return false; // ended since it was listed
    }
  });
}

/** Starts a command that outlives this process, with these cgroup.procs files joined first. */
function spawnDetached(groups: readonly string[], command: readonly string[], log: string, env = process.env): void {
  const output = openSync(log, 'a', 0o600);
  const script = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@"';
  const procs = groups.map((folder) => join(folder, 'cgroup.procs'));
  const child = spawn('sh', ['-c', script, 'sh', ...procs, '--', ...command], {
    cwd: '/',
    detached: true,
    env,
    stdio: ['ignore', output, output],
  });
  child.unref();
  closeSync(output);
}

/** Gives cargo-server a machine: a network of its own on the lab's bridge, so that it can be cut off too. */
export async function createServerNetwork(lab: Lab): Promise<void> {
  mkdirSync(serverDir(lab.name), { recursive: true, mode: 0o700 });
  const group = hostGroup(lab, lab.server);
  createCgroup(group);
  spawnDetached(foldersOf(group), ['unshare', '--net', 'sleep', 'infinity'], serverLog(lab));
  const holder = await waitUntil("the server's network is there", 10_000, () => networkHolder(lab));
  await connect(lab, lab.server, holder);
}

/** @throws CargoError SERVER_UNREACHABLE with the end of its log when it ends instead of answering. */
export async function startServer(lab: Lab): Promise<void> {
  const holder = networkHolder(lab);
  if (holder === undefined) throw new CargoError('NOT_FOUND', `lab ${lab.name} has no cargo-server`);
  const command = [join(cloneRoot, 'bin/cargo-server'), '--listen', `${lab.server.address}:5000`];
  const dataDir = ['--data-dir', join(serverDir(lab.name), 'data')];
  const life = lab.certificateLife === null ? [] : ['--certificate-life', lab.certificateLife];
  const group = createServiceCgroup(serverGroup(lab));
  const env = lab.faultPoints ? { ...process.env, [FAULT_POINTS]: serverFaultPoints(lab) } : process.env;
  spawnDetached(
    [group],
    ['nsenter', `--target=${holder}`, '--net', ...command, ...dataDir, ...life],
    serverLog(lab),
    env,
  );
  const deadline = performance.now() + 1000;
  await waitUntil('cargo-server answers', 30_000, async () => {
    if (serverProcess(lab) === undefined && performance.now() > deadline) {
      const words = readFileSync(serverLog(lab), 'utf8').split('\n').slice(-10).join('\n');
      throw new CargoError('SERVER_UNREACHABLE', `cargo-server ended: ${words}`);
    }
    return await callServer(lab, 'GET', '/healthz').then(
      () => true as const,
      () => undefined,
    );
  });
}

/** Ends cargo-server where it runs, and starts it. */
export async function restartServer(lab: Lab): Promise<void> {
  await stopService(serverGroup(lab), 10_000);
  await startServer(lab);
}

/** A join token of the server, good for an agent that loses its identity to a power cut and joins again. */
export async function createJoinToken(lab: Lab): Promise<string> {
  const answer = await callServer(lab, 'POST', '/v1/tokens', { uses: 100, ttlSeconds: 30 * 24 * 3600 });
  return CreateTokenResponse.parse(answer).token;
}
