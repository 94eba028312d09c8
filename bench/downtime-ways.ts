import { CONTAINER, PORT } from '../demo/database.ts';
import { cargoctlJson } from '../demo/lab.ts';
import { Migration } from '../src/api/migration.ts';
import { type HostName, type LabPair, otherThan } from './lab-pair.ts';
import { type Command, runGroup } from './process-group.ts';
import { startRsyncDaemon } from './rsync-daemon.ts';

const DATA = '/var/lib/docker/volumes/mysqldata/_data';
export const ASIDE = `${DATA}.moved-to-*`;
/** As demo/database.ts starts it. */
const CREATE = [
  ...['docker', 'create', '--name', CONTAINER, '--restart', 'unless-stopped', '-v', 'mysqldata:/var/lib/mysql'],
  ...['-p', `${PORT}:${PORT}`, '-e', 'MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1', '-e', 'MARIADB_DATABASE=demo'],
  ...['-e', 'MARIADB_USER=demo', 'mariadb:lab'],
];

/** Where the database runs before, and after. */
export type Hosts = { from: HostName; to: HostName };

/** One way to have the database stopped and started, maybe elsewhere. `measured` wraps the part that clients notice. */
export type DowntimeWay = {
  name: string;
  run(at: HostName, measured: (hosts: Hosts, work: () => Promise<unknown>) => Promise<void>): Promise<HostName>;
};

export function restartWay(pair: LabPair): DowntimeWay {
  return {
    name: 'docker restart',
    async run(at, measured) {
      await measured({ from: at, to: at }, () => pair.exec(at, 'docker', 'restart', CONTAINER));
      return at;
    },
  };
}

/** `cleanup`: nothing stays at the source, so the next move has everything to copy before it stops the container. */
export function cargoWay(pair: LabPair, options: { cleanup: boolean }): DowntimeWay {
  return {
    name: 'cargo',
    async run(from, measured) {
      const to = otherThan(from);
      await measured({ from, to }, () => pair.cargoctl('migrate', CONTAINER, '--from', from, '--to', to));
      await pair.cargoctl('failover', CONTAINER, ...(options.cleanup ? ['--cleanup'] : []));
      return to;
    },
  };
}

export function lastMigration(pair: LabPair): Promise<Migration> {
  return cargoctlJson(pair.demo, pair.signal, ['status', CONTAINER], Migration);
}

/**
 * What an operator does by hand: the container is created at the target beforehand, then stop, rsync over the lab's link
 * to a daemon there, start. `seeded`: most was copied by an rsync before, while the database ran.
 */
export function operatorWay(pair: LabPair, { seeded }: { seeded: boolean }): DowntimeWay {
  return {
    name: seeded ? 'rsync, stop, rsync, start' : 'stop, rsync, start',
    async run(from, measured) {
      const to = otherThan(from);
      await pair.exec(to, ...CREATE);
      {
        await using daemon = await startRsyncDaemon(pair, to, pair.path(to, DATA));
        const options = ['-aHAXS', '--numeric-ids', '--delete'];
        // Status 24: files vanished while it ran, as they do under a database that runs.
        const rsync: Command = ['bash', '-c', 'rsync "$@" 2>/dev/null || [ $? = 24 ]', 'bash', ...options];
        const push: Command = [...rsync, `${pair.path(from, DATA)}/`, daemon.url];
        const copy = (): Promise<string> => runGroup(pair.inNetworkOf(from, push), pair.signal);
        if (seeded) await copy();
        await measured({ from, to }, async () => {
          await pair.exec(from, 'docker', 'stop', CONTAINER);
          await copy();
          await pair.exec(to, 'docker', 'start', CONTAINER);
        });
      }
      await pair.exec(from, 'docker', 'rm', CONTAINER);
      await pair.exec(from, 'docker', 'volume', 'rm', 'mysqldata');
      return to;
    },
  };
}

/** MiB of files that were changed after this moment of this machine's clock, where a move has left the data aside. */
export async function changedAsideMiB(pair: LabPair, at: HostName, sinceMs: number): Promise<number> {
  const find = `find ${ASIDE} -type f -newermt @${(sinceMs / 1000).toFixed(3)} -printf '%s\\n'`;
  const sizes = await pair.exec(at, 'sh', '-c', find);
  return sizes.split('\n').reduce((sum, size) => sum + Number(size), 0) / 2 ** 20;
}
