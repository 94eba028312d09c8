import { get } from 'node:http';
import { join } from 'node:path';
import type { HostName, LabPair } from './lab-pair.ts';
import { Probe } from './probe.ts';
import { makeTree } from './trees.ts';
import { type Client, dataOf, type Workload } from './workload.ts';

const PORT = 8080;
const LIMIT_MS = 1_000;
/** Serves its volume; while there is a file `load` in it, it also writes, twenty times a second. */
const SCRIPT = [
  'trap "exit 0" TERM',
  `httpd -p ${PORT} -h /data`,
  'while :; do if test -e /data/load; then date >> /data/written; fi; sleep 0.05 & wait $!; done',
].join('; ');

export const fileServer: Workload = {
  container: 'files',
  volume: 'filesdata',
  create: [
    ...['docker', 'create', '--name', 'files', '--restart', 'unless-stopped', '-v', 'filesdata:/data'],
    ...['-p', `${PORT}:${PORT}`, 'busybox:lab', 'sh', '-c', SCRIPT],
  ],
};

/** Starts it on h1, with so many files of so many bytes. */
export async function startFileServer(pair: LabPair, shape: { files: number; bytes: number }): Promise<void> {
  await Promise.all([pair.demo.image('h1', 'busybox'), pair.demo.image('h2', 'busybox')]);
  await pair.exec('h1', ...fileServer.create);
  await makeTree(pair.path('h1', join(dataOf(fileServer), 'tree')), shape, pair.signal);
  await pair.exec('h1', 'docker', 'start', fileServer.container);
}

export async function removeFileServer(pair: LabPair, at: HostName): Promise<void> {
  await pair.exec(at, 'docker', 'rm', '-f', fileServer.container);
  await pair.exec(at, 'docker', 'volume', 'rm', fileServer.volume);
}

/** A client that fetches one file after the other. With a load the container itself writes meanwhile. */
export async function fileClient(
  pair: LabPair,
  at: HostName,
  { load, files }: { load: boolean; files: number },
): Promise<Client> {
  const change = load ? 'touch /data/load' : 'rm -f /data/load';
  await pair.exec(at, 'docker', 'exec', fileServer.container, 'sh', '-c', change);
  let turn = 0;
  const fetchNext = (address: string): Promise<void> => {
    turn = (turn + 7_919) % files;
    return fetchOnce(`http://${address}:${PORT}/tree/d${Math.floor(turn / 1000)}/file-${turn}`);
  };
  return new Probe((['h1', 'h2'] as const).map((host) => () => fetchNext(pair.address(host))));
}

/** A connection of its own for each file: one that is kept would outlive the container on its host. */
function fetchOnce(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false, timeout: LIMIT_MS }, (response) => {
      response.resume().once('error', reject);
      response.once('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`${response.statusCode}`)),
      );
    });
    request.once('timeout', () => request.destroy(new Error('no answer'))).once('error', reject);
  });
}
