import type { Bench } from './bench.ts';
import { CONTAINER, type HostName, IMAGE, VOLUME } from './names.ts';

/** What a host holds, as lines that two moments can be compared by. `.over` is the agent's list of what is over. */
const LOOK = `
docker ps -aq --no-trunc | xargs -r docker inspect -f 'container {{.Name}} {{.Id}} running={{.State.Running}} restart={{.HostConfig.RestartPolicy.Name}}'
docker volume ls -q | sed 's/^/volume /'
docker network ls --format 'network {{.Name}}'
docker images -aq --no-trunc | sort -u | sed 's/^/image /'
docker images --format 'tag {{.Repository}}:{{.Tag}}'
find /var/lib/cargo -mindepth 1 ! -path /var/lib/cargo/migrations/.over | sed 's/^/file /'
find /var/lib/docker/volumes /var/lib/docker/overlay2 -mindepth 2 -maxdepth 2 '(' -name '*.moved-to-*' -o -name '*.arriving-*' ')' | sed 's/^/aside /'
ps -eo args | grep -v grep | grep -o 'docker-proxy.*' | sed 's/-container-ip.*//; s/^/port /' || true
`;

export type Holding = ReadonlySet<string>;
export type Holdings = Record<HostName, Holding>;

export async function lookAt(bench: Bench): Promise<Holdings> {
  const [h1, h2] = await Promise.all([hold(bench, 'h1'), hold(bench, 'h2')]);
  return { h1, h2 };
}

async function hold(bench: Bench, host: HostName): Promise<Holding> {
  return new Set((await bench.shell(host, LOOK)).split('\n').filter((line) => line !== ''));
}

/** What differs from what was before, where the container was taken back. */
export function leftAfterRollBack(before: Holdings, after: Holdings): string[] {
  return (['h1', 'h2'] as const).flatMap((host) => differences(host, before[host], after[host]));
}

/** What differs from a clean move, after the source was released with --cleanup. */
export function leftAfterMove(before: Holdings, after: Holdings, source: HostName, target: HostName): string[] {
  const isOfContainer = (line: string): boolean =>
    line.startsWith(`container /${CONTAINER} `) || line === `volume ${VOLUME}` || line.startsWith('port ');
  const isPort = (line: string): boolean => line.startsWith('port ');
  const left = [...before[source]].filter((line) => !isOfContainer(line));
  const arrived = [...before[source]].filter((line) => isOfContainer(line) && !line.startsWith('container '));
  const imageLines = [...before[source]].filter((line) => line.startsWith('image ') || line === `tag ${IMAGE}`);
  const came = [...after[target]].filter((line) => line.startsWith(`container /${CONTAINER} `));
  const isWell = came.length === 1 && came.every((line) => line.endsWith('running=true restart=always'));
  return [
    ...(isWell ? [] : [`${target}: the container is not as it was at the source: ${came.join(', ') || 'none'}`]),
    ...differences(source, new Set(left), new Set([...after[source]].filter((line) => !isPort(line)))),
    ...differences(target, new Set([...before[target], ...arrived, ...imageLines, ...came]), after[target]),
  ];
}

function differences(host: HostName, before: Holding, after: Holding): string[] {
  const missing = [...before].filter((line) => !after.has(line)).map((line) => `${host} lacks ${line}`);
  const extra = [...after].filter((line) => !before.has(line)).map((line) => `${host} still has ${line}`);
  return [...missing, ...extra];
}
