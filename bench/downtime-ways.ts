import { cargoctlJson } from '../demo/lab.ts';
import { Migration } from '../src/api/migration.ts';
import { type HostName, type LabPair, otherThan } from './lab-pair.ts';
import { type Command, runGroup } from './process-group.ts';
import { startRsyncDaemon } from './rsync-daemon.ts';
import { dataOf, type Workload } from './workload.ts';

/** Where the container runs before, and after. */
export type Hosts = { from: HostName; to: HostName };

/** One way to have a container stopped and started, maybe elsewhere. `measured` wraps the part that clients notice. */
export type DowntimeWay = {
  name: string;
  /** What is moved by Cargo leaves a migration to look at. */
  isCargo: boolean;
  run(at: HostName, measured: (hosts: Hosts, work: () => Promise<unknown>) => Promise<void>): Promise<HostName>;
};

export function restartWay(pair: LabPair, { container }: Workload): DowntimeWay {
  return {
    name: 'docker restart',
    isCargo: false,
    async run(at, measured) {
      await measured({ from: at, to: at }, () => pair.exec(at, 'docker', 'restart', container));
      return at;
    },
  };
}

/** `cleanup`: nothing stays at the source, so the next move has everything to copy. */
export function cargoWay(
  pair: LabPair,
  { container }: Workload,
  { strategy, cleanup }: { strategy: 'precopy' | 'lazy'; cleanup: boolean },
): DowntimeWay {
  return {
    name: `cargo, ${strategy}`,
    isCargo: true,
    async run(from, measured) {
      const to = otherThan(from);
      const migrate = ['migrate', container, '--from', from, '--to', to, '--strategy', strategy];
      await measured({ from, to }, () => pair.cargoctl(...migrate));
      await pair.cargoctl('failover', container, '--wait', ...(cleanup ? ['--cleanup'] : []));
      return to;
    },
  };
}

export function lastMigration(pair: LabPair, { container }: Workload): Promise<Migration> {
  return cargoctlJson(pair.demo, pair.signal, ['status', container], Migration);
}

/**
 * What an operator does by hand: the container is created at the target beforehand, then stop, rsync over the lab's link
 * to a daemon there, start.
 */
export function operatorWay(pair: LabPair, workload: Workload): DowntimeWay {
  const { container, create, volume } = workload;
  const data = dataOf(workload);
  return {
    name: 'stop, rsync, start',
    isCargo: false,
    async run(from, measured) {
      const to = otherThan(from);
      await pair.exec(to, ...create);
      {
        await using daemon = await startRsyncDaemon(pair, to, pair.path(to, data));
        const rsync: Command = ['rsync', '-aHAX', '--numeric-ids', '--delete', `${pair.path(from, data)}/`, daemon.url];
        await measured({ from, to }, async () => {
          await pair.exec(from, 'docker', 'stop', container);
          await runGroup(pair.inNetworkOf(from, rsync), pair.signal);
          await pair.exec(to, 'docker', 'start', container);
        });
      }
      await pair.exec(from, 'docker', 'rm', container);
      await pair.exec(from, 'docker', 'volume', 'rm', volume);
      return to;
    },
  };
}

/** MiB of files that were changed after this moment of this machine's clock, where a move has left the data aside. */
export async function changedAsideMiB(
  pair: LabPair,
  workload: Workload,
  at: HostName,
  sinceMs: number,
): Promise<number> {
  const find = `find ${dataOf(workload)}.moved-to-* -type f -newermt @${(sinceMs / 1000).toFixed(3)} -printf '%s\\n'`;
  const sizes = await pair.exec(at, 'sh', '-c', find);
  return sizes.split('\n').reduce((sum, size) => sum + Number(size), 0) / 2 ** 20;
}
