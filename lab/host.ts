import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CargoError } from '../src/api/cargo-error.ts';
import { createCgroup, foldersOf, freezeCgroup, killCgroup, removeCgroup } from './cgroup.ts';
import { diskReleased } from './disk.ts';
import { startDocker } from './docker.ts';
import { enterCommand, findInit, hostGroup, hostRoot } from './enter.ts';
import { connect, setLink } from './network.ts';
import { cloneRoot, codeCache, diskImage, hostDir } from './paths.ts';
import { stopFileSystem } from './power-cut.ts';
import { run } from './run.ts';
import type { Lab, LabHost } from './state.ts';
import { hostTree } from './tree.ts';
import { waitUntil } from './wait-until.ts';

/** Starts process 1 of the host on its disk, connects it, and waits until its Docker answers. */
export async function bootHost(lab: Lab, host: LabHost): Promise<void> {
  if (findInit(lab, host) !== undefined) throw new CargoError('WRONG_PHASE', `host ${host.name} is up already`);
  const base = await hostTree();
  const group = hostGroup(lab, host);
  // Its process 1 may have ended by itself: two mounts of one disk would destroy it.
  await killCgroup(group);
  await diskReleased(lab.name, host.name);
  createCgroup(group);
  const dir = hostDir(lab.name, host.name);
  const console_ = join(dir, 'console.log');
  const log = openSync(console_, 'w', 0o600);
  const neighbours = [lab.server, ...lab.hosts].map(({ address, name }) => `${address} ${name}`);
  const child = spawn(join(import.meta.dirname, 'host-init.sh'), {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      LAB_PROCS: foldersOf(group)
        .map((folder) => join(folder, 'cgroup.procs'))
        .join(' '),
      LAB_NAME: host.name,
      LAB_FS: lab.fs,
      LAB_DIR: dir,
      LAB_BASE: base,
      LAB_CLONE: lab.bare ? '' : cloneRoot,
      LAB_CODE: codeCache(),
      LAB_HOSTS: neighbours.join('\n'),
      LAB_DNS: lab.gateway,
    },
  });
  child.unref();
  closeSync(log);
  let failed = false;
  child.on('exit', () => {
    failed = true;
  });
  const init = await waitUntil(`host ${host.name} has booted`, 30_000, () => {
    if (failed) throw new CargoError('INTERNAL', `host ${host.name} did not boot: ${readFileSync(console_, 'utf8')}`);
    const pid = findInit(lab, host);
    return pid !== undefined && existsSync(join(hostRoot(pid), 'run/lab-ready')) ? pid : undefined;
  });
  await connect(lab, host, init);
  if (existsSync(join(hostRoot(init), 'var/lib/cargo/migrations'))) await holdAtBoot(lab, host);
  await startDocker(lab, host);
}

/** What packaging/cargo-hold.service does before Docker starts. */
async function holdAtBoot(lab: Lab, host: LabHost): Promise<void> {
  const [enter, ...args] = enterCommand(lab, host, ['/opt/cargo/bin/cargo-agent', 'hold']);
  await run(enter, args);
}

/** Ends everything that runs on the host. */
export async function endHost(lab: Lab, host: LabHost): Promise<void> {
  const group = hostGroup(lab, host);
  await killCgroup(group);
  await removeCgroup(group);
}

/**
 * The power goes: what had not reached the disk is lost. The cable and the processes first, so that none can tell
 * anybody of its last moments: not of errors, and not of a sync that ext4 answers with success though it wrote nothing
 * (jbd2_complete_transaction() of fs/jbd2/journal.c, when the commit that it came for was aborted before it looked).
 */
export async function cutPower(lab: Lab, host: LabHost): Promise<void> {
  const init = findInit(lab, host);
  if (init === undefined) return;
  await setLink(host, 'down');
  freezeCgroup(hostGroup(lab, host));
  await stopFileSystem(lab.fs, join(hostRoot(init), 'var/lib/docker'), diskImage(lab.name, host.name));
  await endHost(lab, host);
  await diskReleased(lab.name, host.name);
}
