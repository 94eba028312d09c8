import { existsSync } from 'node:fs';
import { killCgroup, removeCgroup } from './cgroup.ts';
import { hostGroup } from './enter.ts';
import { stopHost } from './host.ts';
import { lock } from './lock.ts';
import { removeLink } from './network.ts';
import { labDir } from './paths.ts';
import { findLab, type Lab, lockLabs, removeLab } from './state.ts';

async function removeMachines(lab: Lab): Promise<void> {
  const server = hostGroup(lab, lab.server);
  await Promise.all([
    ...lab.hosts.map((host) => stopHost(lab, host)),
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
