import { z } from 'zod';
import { CargoError } from '../src/api/cargo-error.ts';
import { run, tryRun } from './run.ts';
import { allLabs, type Lab, type LabHost, shortId } from './state.ts';

export const prefixLength = 24;

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Whether two networks, as `address/length`, share an address. */
export function overlaps(one: string, other: string): boolean {
  const [oneAddress = '', oneLength = '32'] = one.split('/');
  const [otherAddress = '', otherLength = '32'] = other.split('/');
  const blockSize = 2 ** (32 - Math.min(Number(oneLength), Number(otherLength)));
  return Math.floor(toNumber(oneAddress) / blockSize) === Math.floor(toNumber(otherAddress) / blockSize);
}

const Routes = z.array(z.object({ dst: z.string() }));

/**
 * The first /24 of 10.201.0.0/16 that neither another lab nor a route of the machine uses, as its first three numbers.
 * Docker's own default pools (172.17.0.0/12, 192.168.0.0/16) are elsewhere, so no container network hides a host.
 */
export async function freeSubnet(): Promise<string> {
  const routes = Routes.parse(JSON.parse(await run('ip', ['-json', '-4', 'route', 'show', 'table', 'all'])));
  const used = [
    ...routes.map(({ dst }) => dst).filter((dst) => /^\d/.test(dst)),
    ...allLabs().map(({ gateway }) => `${gateway}/${prefixLength}`),
  ];
  for (let third = 0; third < 256; third++) {
    const subnet = `10.201.${third}`;
    if (!used.some((network) => overlaps(network, `${subnet}.0/${prefixLength}`))) return subnet;
  }
  throw new CargoError('INTERNAL', 'every network of 10.201.0.0/16 is in use: take a lab down first');
}

/**
 * An address that stays when the host boots again, as that of a real network card does: its neighbours remember it for
 * a minute. 02 says that it is of local making.
 */
function hardwareAddress(lab: Lab, address: string): string {
  const id = shortId(lab.name).match(/../g) ?? [];
  const last = Number(address.split('.').at(-1)).toString(16).padStart(2, '0');
  return ['02', ...id, last].join(':');
}

export async function createBridge(lab: Lab): Promise<void> {
  const address = hardwareAddress(lab, lab.gateway);
  await run('ip', [
    'link',
    'add',
    lab.bridge,
    'address',
    address,
    'type',
    'bridge',
    'forward_delay',
    '0',
    'stp_state',
    '0',
  ]);
  await run('ip', ['address', 'add', `${lab.gateway}/${lab.prefixLength}`, 'dev', lab.bridge]);
  await run('ip', ['link', 'set', lab.bridge, 'up']);
}

/** Lays a cable from the bridge into the network namespace of a process and gives it the host's address there. */
export async function connect(lab: Lab, host: LabHost, pid: number): Promise<void> {
  await removeLink(host.link); // that of an earlier boot goes some time after its namespace
  const peer = `${host.link}p`;
  const address = ['address', hardwareAddress(lab, host.address)];
  await run('ip', ['link', 'add', host.link, 'type', 'veth', 'peer', 'name', peer, ...address]);
  await run('ip', ['link', 'set', peer, 'netns', String(pid), 'name', 'eth0']);
  await run('ip', ['link', 'set', host.link, 'master', lab.bridge, 'up']);
  const inside = [`--target=${pid}`, '--net', 'ip'];
  await run('nsenter', [...inside, 'link', 'set', 'lo', 'up']);
  await run('nsenter', [...inside, 'address', 'add', `${host.address}/${lab.prefixLength}`, 'dev', 'eth0']);
  await run('nsenter', [...inside, 'link', 'set', 'eth0', 'up']);
  await run('nsenter', [...inside, 'route', 'add', 'default', 'via', lab.gateway]);
}

/** Takes the cable away or gives it back; the host's addresses and routes stay. */
export async function setLink(host: LabHost, state: 'up' | 'down'): Promise<void> {
  await run('ip', ['link', 'set', host.link, state]);
}

const Links = z.array(z.object({ flags: z.array(z.string()) }));

/** @returns false when the link is cut, or not there. */
export async function linkIsUp(host: LabHost): Promise<boolean> {
  const { status, stdout } = await tryRun('ip', ['-json', 'link', 'show', host.link]);
  return status === 0 && Links.parse(JSON.parse(stdout)).some(({ flags }) => flags.includes('UP'));
}

export async function removeLink(name: string): Promise<void> {
  const { status, stderr } = await tryRun('ip', ['link', 'delete', name]);
  if (status !== 0 && !stderr.includes('Cannot find device')) {
    throw new CargoError('INTERNAL', `can't remove the network interface ${name}: ${stderr.trim()}`);
  }
}
