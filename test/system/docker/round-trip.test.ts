import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { differences, unexpected } from './differences.ts';
import { buildImage, HostPair, IMAGE, moveWhole, sweep, WAITING } from './pair.ts';

let pair: HostPair;

beforeAll(() => {
  pair = new HostPair();
});
afterAll(() => pair[Symbol.dispose]());
afterEach(() => [pair.source, pair.target].forEach(sweep));

test('a container with many options has the same inspect at the target', async () => {
  const { source, target } = pair;
  source.docker(
    'network',
    'create',
    '--subnet',
    '10.77.0.0/24',
    '--label',
    'team=a',
    '-o',
    'com.docker.network.bridge.enable_icc=true',
    'rt-front',
  );
  source.docker('network', 'create', '--internal', '--attachable', 'rt-back');
  source.docker('volume', 'create', '--label', 'keep=yes', 'rt-data');
  source.exec('sh', '-c', 'mkdir -p /srv/cargo-test/deep/dir && echo conf > /srv/cargo-test/app.conf');
  source.docker(
    'create',
    '--name',
    'rt',
    '--restart',
    'on-failure:4',
    '--hostname',
    'rt-host',
    '--domainname',
    'example.test',
    '--user',
    '0:0',
    '--workdir',
    '/tmp',
    '--env',
    'A=1',
    '--env',
    'EMPTY=',
    '--label',
    'x=y',
    '--stop-signal',
    'SIGTERM',
    '--stop-timeout',
    '7',
    '--health-cmd',
    'true',
    '--health-interval',
    '1s',
    '--health-retries',
    '2',
    '--health-start-period',
    '1s',
    '--memory',
    '64m',
    '--memory-reservation',
    '32m',
    '--cpu-shares',
    '512',
    '--cpus',
    '0.5',
    '--pids-limit',
    '100',
    '--ulimit',
    'nofile=1024:2048',
    '--cap-add',
    'NET_ADMIN',
    '--cap-drop',
    'MKNOD',
    '--security-opt',
    'no-new-privileges',
    '--security-opt',
    'seccomp=unconfined',
    '--log-driver',
    'json-file',
    '--log-opt',
    'max-size=1m',
    '--log-opt',
    'max-file=2',
    '--dns',
    '10.1.1.1',
    '--dns-search',
    'example.test',
    '--dns-opt',
    'ndots:2',
    '--add-host',
    'other:10.9.8.7',
    '--sysctl',
    'net.ipv4.ip_unprivileged_port_start=0',
    '--shm-size',
    '16m',
    '--tmpfs',
    '/scratch:rw,size=1m',
    '--init',
    '--interactive',
    '--tty',
    '--read-only',
    '--oom-score-adj',
    '100',
    '--group-add',
    '33',
    '--ipc',
    'shareable',
    '--publish',
    '127.0.0.1:18080:80',
    '--publish',
    '18053:53/udp',
    '--expose',
    '9000',
    '--annotation',
    'note=kept',
    '--network',
    'rt-front',
    '--ip',
    '10.77.0.50',
    '--mac-address',
    '02:11:22:33:44:55',
    '--network-alias',
    'front-alias',
    '-v',
    'rt-data:/data',
    '-v',
    '/srv/cargo-test/deep/dir:/bind',
    '-v',
    '/anonymous',
    '--mount',
    'type=bind,source=/srv/cargo-test/app.conf,target=/etc/app.conf,readonly',
    '--mount',
    'type=volume,source=rt-data,target=/data-again,readonly,volume-nocopy',
    '--mount',
    'type=volume,target=/anonymous-too',
    '--entrypoint',
    'sh',
    IMAGE,
    '-c',
    WAITING[2] ?? '',
  ); // prettier-ignore
  source.docker('network', 'connect', '--alias', 'back-alias', '--alias', 'second', 'rt-back', 'rt');
  source.docker('start', 'rt');
  await expect
    .poll(() => source.docker('inspect', '-f', '{{.State.Health.Status}}', 'rt'), { timeout: 10_000 })
    .toBe('healthy');
  const before = source.inspect('rt');

  await moveWhole(source, target, 'rt');

  const after = target.inspect('rt');
  const names = new Map(
    ['/anonymous', '/anonymous-too'].map((destination) => [nameAt(after, destination), nameAt(before, destination)]),
  );
  const renamed = JSON.parse(
    [...names].reduce((text, [there, here]) => text.replaceAll(there, here), JSON.stringify(after)),
  );
  expect(unexpected(differences(before, renamed))).toEqual([]);
  expect(after).toMatchObject({ HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 4 } } });

  const network = (host: typeof source, name: string) =>
    JSON.parse(host.docker('network', 'inspect', '-f', '{{json .}}', name));
  for (const name of ['rt-front', 'rt-back']) {
    const found = differences(network(source, name), network(target, name));
    expect(found.filter((line) => !/^(Id|Created|Containers)/.test(line))).toEqual([]);
  }
  expect(target.docker('volume', 'inspect', '-f', '{{json .Labels}}', 'rt-data')).toBe('{"keep":"yes"}');
  expect(target.exec('cat', '/srv/cargo-test/app.conf')).toBe('conf');
});

test('a container with the defaults, the default bridge and the entry point taken away is the same too', async () => {
  const { source, target } = pair;
  buildImage(source, 'cargo-docker-test:entry', [`FROM ${IMAGE}`, 'ENTRYPOINT ["/bin/false"]']);
  source.docker('run', '-d', '--name', 'plain', '--entrypoint', '', 'cargo-docker-test:entry', ...WAITING);
  const before = source.inspect('plain');

  await moveWhole(source, target, 'plain');

  expect(unexpected(differences(before, target.inspect('plain')))).toEqual([]);
});

test.each(['none', 'host'])('a container with network %s is the same too', async (network) => {
  const { source, target } = pair;
  source.docker('run', '-d', '--name', `on-${network}`, '--network', network, IMAGE, ...WAITING);
  const before = source.inspect(`on-${network}`);

  await moveWhole(source, target, `on-${network}`);

  expect(unexpected(differences(before, target.inspect(`on-${network}`)))).toEqual([]);
});

test('a privileged container in namespaces of the host, with the volumes of another one, is the same too', async () => {
  const { source, target } = pair;
  source.docker('create', '--name', 'lender', '-v', 'lent:/lent', '-v', '/unnamed', IMAGE);
  const options = ['--privileged', '--pid', 'host', '--ipc', 'host', '--uts', 'host', '--cgroupns', 'host'];
  source.docker(
    ...['run', '-d', '--name', 'mighty', ...options, '--volumes-from', 'lender:ro', '--cpuset-cpus', '0'],
    ...['--device-cgroup-rule', 'c 1:3 r', '-p', '18070-18071:70-71', IMAGE, ...WAITING],
  );
  const before = source.inspect('mighty');

  await moveWhole(source, target, 'mighty');

  // What came from another container is a mount of this one's own now, by name. With the host's own host name Docker
  // lets nobody choose one.
  const ofOthers = /^(HostConfig\.(VolumesFrom|Binds)|Mounts|Config\.Hostname)$/;
  const found = unexpected(differences(before, target.inspect('mighty')));
  expect(found.filter((line) => !ofOthers.test(line.split(':')[0] ?? ''))).toEqual([]);
  const places = (inspect: Record<string, unknown>) =>
    (inspect['Mounts'] as { Name: string; Destination: string; RW: boolean }[])
      .map(({ Name, Destination, RW }) => `${Name} ${Destination} ${RW}`)
      .sort();
  expect(places(target.inspect('mighty'))).toEqual(places(before));
});

test('a container with a link in its network and addresses of both families is the same too', async () => {
  const { source, target } = pair;
  source.docker('network', 'create', '--ipv6', '--subnet', '10.76.0.0/24', '--subnet', 'fd00:76::/64', 'both');
  source.docker('run', '-d', '--name', 'friend', '--network', 'both', IMAGE, ...WAITING);
  const addresses = ['--ip', '10.76.0.20', '--ip6', 'fd00:76::20'];
  source.docker(
    'run',
    '-d',
    '--name',
    'linked',
    '--network',
    'both',
    ...addresses,
    '--link',
    'friend:pal',
    IMAGE,
    ...WAITING,
  );
  const before = source.inspect('linked');

  await moveWhole(source, target, 'linked');

  expect(unexpected(differences(before, target.inspect('linked')))).toEqual([]);
});

test('a stopped container moves and stays stopped', async () => {
  const { source, target } = pair;
  source.docker('create', '--name', 'still', '--restart', 'always', IMAGE, ...WAITING);

  await moveWhole(source, target, 'still');

  expect(target.inspect('still')).toMatchObject({
    State: { Running: false, Status: 'created' },
    HostConfig: { RestartPolicy: { Name: 'always' } },
  });
});

function nameAt(inspect: Record<string, unknown>, destination: string): string {
  const mounts = inspect['Mounts'] as { Destination: string; Name: string }[];
  return mounts.find((mount) => mount.Destination === destination)?.Name ?? '';
}
