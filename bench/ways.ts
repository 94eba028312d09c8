import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { cargoctlJson } from '../demo/lab.ts';
import { Migration } from '../src/api/migration.ts';
import type { HostName, LabPair } from './lab-pair.ts';
import { type Command, runGroup, startGroup } from './process-group.ts';
import { startRsyncDaemon } from './rsync-daemon.ts';

export const SOURCE: HostName = 'h1';
export const TARGET: HostName = 'h2';
const NC_PORT = 9000;
const VOLUMES = '/var/lib/docker/volumes';

/** Where the tree stands on the source, and where peers copy it to on the target. */
export const treePath = (tree: string): string => `/var/lib/docker/bench/${tree}`;

/** `seconds` until the copy is on the target's disk; `wholeSeconds` with all that the way does besides. */
export type Measurement = { seconds: number; wholeSeconds?: number };

/** One way to copy a tree from the source to the target. */
export type Way = { name: string; prepare(tree: string): Promise<Turn> };

/** Ready to be measured: once. The end of the scope ends what still runs. */
export type Turn = AsyncDisposable & {
  /** Where this machine sees the source's tree. */
  source: string;
  measure(): Promise<Measurement>;
  /** What rsync would do to make the copy's metadata those of the source: nothing. */
  differences(): Promise<string>;
  /** Puts the tree back, and the copy to `aside` on the target, as this machine sees it; without one it is removed. */
  clear(aside: string | null): Promise<void>;
};

export function waysOf(pair: LabPair): Way[] {
  return [cargoWay(pair), tarWay(pair), rsyncWay(pair)];
}

/**
 * A container that is stopped moves with the tree as its volume: one round carries everything. Its time is the server's,
 * from telling the target's agent to the answer: connecting, encryption, checks, and syncing on both hosts are in it.
 */
function cargoWay(pair: LabPair): Way {
  return {
    name: 'cargo',
    async prepare(tree) {
      const name = `bench-${randomUUID().slice(0, 8)}`;
      const [place, volume] = [treePath(tree), `${VOLUMES}/${name}`];
      await pair.exec(SOURCE, 'docker', 'create', '--name', name, '-v', `${name}:/data`, 'busybox:lab', 'true');
      await pair.exec(SOURCE, 'sh', '-c', `rmdir ${volume}/_data && mv ${place} ${volume}/_data`);
      return {
        source: pair.path(SOURCE, `${volume}/_data`),
        async measure() {
          const began = performance.now();
          await pair.cargoctl('migrate', name, '--from', SOURCE, '--to', TARGET);
          const wholeSeconds = (performance.now() - began) / 1000;
          const { rounds } = await cargoctlJson(pair.demo, pair.signal, ['status', name], Migration);
          return { seconds: rounds.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000, wholeSeconds };
        },
        differences() {
          const directory = pair.path(SOURCE, volume);
          const aside = fs.readdirSync(directory).find((entry) => entry.startsWith('_data.moved-to-')) ?? '_data';
          return differences(pair, `${directory}/${aside}`, pair.path(TARGET, `${volume}/_data`));
        },
        async clear(aside) {
          await pair.cargoctl('failover', name);
          await pair.exec(SOURCE, 'sh', '-c', `mv ${volume}/_data.moved-to-* ${place}`);
          if (aside !== null) fs.renameSync(pair.path(TARGET, `${volume}/_data`), aside);
          for (const host of [SOURCE, TARGET]) await removeVolume(pair, host, name);
        },
        [Symbol.asyncDispose]: async () => undefined,
      };
    },
  };
}

/** With the containers that use it. */
async function removeVolume(pair: LabPair, host: HostName, name: string): Promise<void> {
  await pair.exec(host, 'sh', '-c', `docker rm -f $(docker ps -aq --filter volume=${name})`);
  await pair.exec(host, 'docker', 'volume', 'rm', name);
}

/** `tar c | nc` on the source, `nc | tar x` on the target. */
function tarWay(pair: LabPair): Way {
  return peerWay(pair, 'tar and nc', async (source, target) => {
    const receive = `nc -l -d ${NC_PORT} | tar -C "$1" --xattrs --xattrs-include='*' --acls -xp`;
    const send = `tar -C "$1" --xattrs --xattrs-include='*' --acls -cS . | nc -N ${pair.address(TARGET)} ${NC_PORT}`;
    const receiver = startGroup(pair.inNetworkOf(TARGET, pipe(receive, target)), pair.signal);
    await pair.untilListening(TARGET, NC_PORT);
    return {
      run: async () => {
        await runGroup(pair.inNetworkOf(SOURCE, pipe(send, source)), pair.signal);
        await receiver.output;
      },
      [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose](),
    };
  });
}

function pipe(script: string, path: string): Command {
  return ['bash', '-c', `set -o pipefail; ${script}`, 'bash', path];
}

/** rsync pushes to a daemon on the target. */
function rsyncWay(pair: LabPair): Way {
  return peerWay(pair, 'rsync daemon', async (source, target) => {
    const daemon = await startRsyncDaemon(pair, TARGET, target);
    const push: Command = ['rsync', '-aHAXS', '--numeric-ids', `${source}/`, daemon.url];
    return {
      run: () => runGroup(pair.inNetworkOf(SOURCE, push), pair.signal),
      [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
    };
  });
}

/** The receiver runs and waits; `run` copies, and the time is up when that and a sync of the target's file system are done. */
type Peer = AsyncDisposable & { run(): Promise<unknown> };

function peerWay(pair: LabPair, name: string, begin: (source: string, target: string) => Promise<Peer>): Way {
  return {
    name,
    async prepare(tree) {
      const place = treePath(tree);
      const [source, target] = [pair.path(SOURCE, place), pair.path(TARGET, place)];
      fs.mkdirSync(target, { recursive: true });
      const peer = await begin(source, target);
      return {
        source,
        async measure() {
          const began = performance.now();
          await peer.run();
          await runGroup(['sync', '-f', target], pair.signal);
          return { seconds: (performance.now() - began) / 1000 };
        },
        differences: async () => {
          await peer[Symbol.asyncDispose](); // another daemon comes in its place
          return await differences(pair, source, target);
        },
        async clear(aside) {
          if (aside === null) await runGroup(['rm', '-rf', target], pair.signal);
          else fs.renameSync(target, aside);
        },
        [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
      };
    },
  };
}

async function differences(pair: LabPair, source: string, copy: string): Promise<string> {
  await using daemon = await startRsyncDaemon(pair, TARGET, copy);
  const compare: Command = ['rsync', '-aHAXni', '--numeric-ids', '--delete', `${source}/`, daemon.url];
  return await runGroup(pair.inNetworkOf(SOURCE, compare), pair.signal);
}
