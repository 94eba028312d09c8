import { rmSync } from 'node:fs';
import { stopHost } from './host.ts';
import { lock } from './lock.ts';
import { removeLink } from './network.ts';
import { labDir } from './paths.ts';
import { findLab } from './state.ts';

/** Removes all that a lab has on the machine, whatever state it is in. A lab that isn't there is fine. */
export async function downLab(name: string): Promise<void> {
  const lab = findLab(name);
  if (lab === undefined) return;
  using held = await lock(labDir(name), 60_000);
  if (held === undefined) return;
  await Promise.all(lab.hosts.map((host) => stopHost(lab, host)));
  for (const host of lab.hosts) await removeLink(host.link);
  await removeLink(lab.bridge);
  rmSync(labDir(name), { recursive: true, force: true });
}
