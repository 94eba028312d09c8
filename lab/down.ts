import { existsSync } from 'node:fs';
import { killCgroup, removeCgroup } from './cgroup.ts';
import { diskReleased } from './disk.ts';
import { hostGroup } from './enter.ts';
import { endHost } from './host.ts';
import { lock } from './lock.ts';
import { removeLink } from './network.ts';
import { labDir } from './paths.ts';
import { findLab, type Lab, type LabHost, lockLabs, removeLab } from './state.ts';

/** A process of the machine may stand in a host's file system: its disk goes when that process leaves, not before. */
async function releaseDisk(lab: Lab, host: LabHost): Promise<void> {
  await diskReleased(lab.name, host.name, 5000).catch((error: Error) => {
    process.stderr.write(`cargo-lab: ${error.message}\n`);
  });
}

async function removeMachines(lab: Lab): Promise<void> {
  const server = hostGroup(lab, lab.server);
  await Promise.all([
    ...lab.hosts.map((host) => endHost(lab, host).then(() => releaseDisk(lab, host))),
    killCgroup(server).then(() => removeCgroup(server)),
  ]);
  for (const { link } of [lab.server, ...lab.hosts]) await removeLink(link);
  await removeLink(lab.bridge);
}

/** Removes all that a lab has on the machine, whatever state it is in. A lab that isn't there is fine. */
export async function downLab(name: string): Promise<void> {
  if (!existsSync(labDir(name))) return;
  using held = await lock(labDir(name), 60_000);
  if (held === undefined) return;
  const lab = findLab(name);
  if (lab !== undefined) await removeMachines(lab);
  using _labs = await lockLabs();
  removeLab(name);
}
