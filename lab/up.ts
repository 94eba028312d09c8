import { CargoError } from '../src/api/cargo-error.ts';
import { agentsReady, giveJoinToken, startAgent } from './agent.ts';
import { lockLab } from './change.ts';
import { createDisk } from './disk.ts';
import { bootHost } from './host.ts';
import { createBridge, freeSubnet, prefixLength } from './network.ts';
import { createServerNetwork, startServer } from './server.ts';
import { type FileSystem, findLab, type Lab, LabName, lockLabs, saveLab, shortId } from './state.ts';
import { hostTree } from './tree.ts';

export type UpOptions = {
  name: string;
  hosts: number;
  fs: FileSystem;
  diskBytes: number;
  bare: boolean;
  faultPoints?: boolean;
  certificateLife?: string | null;
};

function planLab(options: UpOptions, subnet: string): Lab {
  const id = shortId(options.name);
  const place = (name: string, last: number) => ({ name, address: `${subnet}.${last}`, link: `cl${id}${name}` });
  const hosts = Array.from({ length: options.hosts }, (_, index) => place(`h${index + 1}`, 11 + index));
  const { name, fs, diskBytes, bare, faultPoints = false, certificateLife = null } = options;
  const server = { ...place('server', 2), link: `cl${id}s` };
  return {
    name,
    fs,
    diskBytes,
    bare,
    faultPoints,
    certificateLife,
    bridge: `cl${id}`,
    gateway: `${subnet}.1`,
    prefixLength,
    server,
    hosts,
  };
}

/** Takes names and addresses that no other lab has. @throws CargoError WRONG_PHASE when the lab is there already. */
async function reserve(options: UpOptions): Promise<Lab> {
  using _held = await lockLabs();
  if (findLab(options.name) !== undefined) {
    throw new CargoError(
      'WRONG_PHASE',
      `lab ${options.name} is there already: \`cargo-lab down --name ${options.name}\``,
    );
  }
  const lab = planLab(options, await freeSubnet());
  saveLab(lab);
  return lab;
}

async function startCargo(lab: Lab): Promise<void> {
  const since = new Date();
  await Promise.all(
    lab.hosts.map(async (host) => {
      await giveJoinToken(lab, host);
      await startAgent(lab, host);
    }),
  );
  await agentsReady(lab, lab.hosts, since);
}

/** Boots a lab and waits until all of it is ready. What an interruption leaves behind is removed by `downLab`. */
export async function upLab(options: UpOptions): Promise<Lab> {
  LabName.parse(options.name);
  await hostTree();
  const lab = await reserve(options);
  using _held = await lockLab(lab.name);
  await createBridge(lab);
  const hosts = lab.hosts.map(async (host) => {
    await createDisk(lab.name, host.name, lab.fs, lab.diskBytes);
    await bootHost(lab, host);
  });
  const server = lab.bare ? undefined : createServerNetwork(lab).then(() => startServer(lab));
  await Promise.all([...hosts, server]);
  if (!lab.bare) await startCargo(lab);
  return lab;
}
