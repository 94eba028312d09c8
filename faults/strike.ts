import { setTimeout as delay } from 'node:timers/promises';
import {
  agentGroup,
  findHost,
  restartAgent,
  restartDocker,
  restartServer,
  serverGroup,
  setLink,
  signalAll,
  signalDocker,
} from '../lab/index.ts';
import type { Bench } from './bench.ts';
import type { FaultName } from './matrix.ts';
import type { HostName } from './names.ts';
import { powerOff, powerOn } from './power.ts';
import type { Records } from './records.ts';

/** Longer than a lost agent is asked again within one step: the step must be sent anew. */
const CUT_MS = 12_000;
const GONE_MS = 1_000;
const FULL_MS = 4_000;
const FILLER = '/var/lib/docker/filler';

/** What a fault does, how long it lasts, how it ends, and sentences on what was found to be lost then. */
type Strike = { act: () => Promise<void>; lastsMs: number; heal: () => Promise<unknown>; lost?: () => string[] };

export type Roles = { source: HostName; target: HostName };

/**
 * Strikes; the process that is held is let go while the fault lasts; then all is made well again.
 * @returns sentences on what was found to be lost
 */
export async function strike(bench: Bench, fault: FaultName, roles: Roles, letGo: () => void): Promise<string[]> {
  const { act, lastsMs, heal, lost } = strikeOf(bench, fault, roles);
  await act();
  letGo();
  await delay(lastsMs);
  await heal();
  return lost?.() ?? [];
}

/** Strikes for so long. */
export async function strikeFor(bench: Bench, fault: FaultName, roles: Roles, lastsMs: number): Promise<void> {
  const { act, heal } = strikeOf(bench, fault, roles);
  await act();
  await delay(lastsMs);
  await heal();
}

function strikeOf(bench: Bench, fault: FaultName, { source, target }: Roles): Strike {
  switch (fault) {
    case 'server-kill':
      return killServer(bench);
    case 'source-kill':
      return killAgents(bench, [source]);
    case 'target-kill':
      return killAgents(bench, [target]);
    case 'both-kill':
      return killAgents(bench, [source, target]);
    case 'server-cut':
      return cut(bench.lab.server);
    case 'source-cut':
      return cut(findHost(bench.lab, source));
    case 'target-cut':
      return cut(findHost(bench.lab, target));
    case 'source-docker':
      return killDocker(bench, source);
    case 'target-docker':
      return killDocker(bench, target);
    case 'source-power':
      return powerCut(bench, source);
    case 'target-power':
      return powerCut(bench, target);
    case 'target-full':
      return fillDisk(bench, target);
  }
}

function killServer({ lab }: Bench): Strike {
  return {
    act: async () => signalAll(serverGroup(lab), 'SIGKILL'),
    lastsMs: GONE_MS,
    heal: () => restartServer(lab),
  };
}

function killAgents({ lab }: Bench, names: readonly HostName[]): Strike {
  const hosts = names.map((name) => findHost(lab, name));
  return {
    act: async () => {
      for (const host of hosts) signalAll(agentGroup(lab, host), 'SIGKILL');
    },
    lastsMs: GONE_MS,
    heal: async () => {
      await Promise.all(hosts.map((host) => restartAgent(lab, host)));
    },
  };
}

function cut(machine: Parameters<typeof setLink>[0]): Strike {
  return { act: () => setLink(machine, 'down'), lastsMs: CUT_MS, heal: () => setLink(machine, 'up') };
}

function killDocker({ lab }: Bench, name: HostName): Strike {
  const host = findHost(lab, name);
  return {
    act: async () => signalDocker(lab, host, 'SIGKILL'),
    lastsMs: GONE_MS,
    heal: () => restartDocker(lab, host),
  };
}

function powerCut(bench: Bench, name: HostName): Strike {
  let records: Records = new Map();
  let lost: string[] = [];
  return {
    act: async () => {
      records = await powerOff(bench, name);
    },
    lastsMs: 0,
    heal: async () => {
      lost = await powerOn(bench, name, records);
    },
    lost: () => lost,
  };
}

function fillDisk(bench: Bench, name: HostName): Strike {
  const fill = `fallocate -l $(( $(df --output=avail -B1 /var/lib/docker | tail -n1) )) ${FILLER} || true; dd if=/dev/zero of=${FILLER}2 bs=64K status=none || true`;
  return {
    act: async () => {
      await bench.shell(name, `${fill} 2>/dev/null`);
    },
    lastsMs: FULL_MS,
    heal: async () => {
      await bench.shell(name, `rm -f ${FILLER} ${FILLER}2; sync /var/lib/docker`);
    },
  };
}
