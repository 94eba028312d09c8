import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { differences, unexpected } from './differences.ts';
import { buildImage, HostPair, IMAGE, moveWhole, sweep, WAITING } from './pair.ts';

let pair: HostPair;

beforeAll(() => {
  pair = new HostPair();
  buildImage(pair.source, 'cargo-docker-test:full', [
    ...[`FROM ${IMAGE}`, 'ENTRYPOINT ["sleep"]', 'CMD ["1000"]', 'VOLUME /vv', 'EXPOSE 33', 'USER 5', 'WORKDIR /w'],
    ...['STOPSIGNAL SIGINT', 'LABEL il=1', 'ENV IE=2', 'HEALTHCHECK --interval=1s CMD true'],
  ]);
});
afterAll(() => pair[Symbol.dispose]());
afterEach(() => [pair.source, pair.target].forEach(sweep));

const health = ['true', '--health-interval=2s', '--health-timeout=3s', '--health-start-period=5s'];

/** Every option of `docker create` (Docker 26) that the lab's hosts can honour and that is not in round-trip.test.ts. */
const options: Record<string, string[]> = {
  'odd labels and variables': [
    ...[
      '-l',
      'a=b=c',
      '-l',
      'empty=',
      '-l',
      'bare',
      '-l',
      'odd=ü"\'\\ \n x',
      '-e',
      'A',
      '-e',
      'B=',
      '-e',
      'C=x=y z\n"q"',
    ],
  ],
  'all of a health check': ['--health-cmd', ...health, '--health-start-interval=1s', '--health-retries=7'],
  'no health check': ['--no-healthcheck'],
  'limits of block devices': [
    ...['--blkio-weight=300', '--blkio-weight-device=/dev/loop0:200', '--device-read-bps=/dev/loop0:1mb'],
    ...['--device-write-bps=/dev/loop0:2mb', '--device-read-iops=/dev/loop0:50', '--device-write-iops=/dev/loop0:100'],
  ],
  'shares and quotas of CPUs': [
    ...['--cpu-period=50000', '--cpu-quota=25000', '--cpuset-cpus=0-1', '--cpuset-mems=0', '--cpu-shares=100'],
  ],
  'limits of memory': [
    ...['-m', '64m', '--memory-swap=128m', '--memory-swappiness=10', '--oom-kill-disable', '--oom-score-adj=-500'],
  ],
  'unlimited swap and processes': ['-m', '64m', '--memory-swap=-1', '--pids-limit=-1', '--cgroup-parent=/foo'],
  'users and groups': [
    '-u',
    '1000:1000',
    '--group-add=44',
    '--group-add=nobody',
    '--userns=host',
    '--domainname=d.test',
  ],
  'namespaces of its own': ['--ipc=none', '--cgroupns=private', '--hostname=me'],
  'private shared memory': ['--ipc=private', '--shm-size=1g', '--ulimit=core=-1', '--ulimit=nproc=500:600'],
  'the legacy MAC address': ['--mac-address=02:42:ac:11:00:77'],
  'ports of every kind': [
    ...['-p', '18100-18102:80-82', '-p', '18110:53/udp', '-p', '18111:99/sctp', '-p', '127.0.0.1:18112:7'],
    ...['-p', '[::1]:18113:8', '-p', '90', '-p', '18200-18210:91', '--expose=100-102', '--expose=5/udp', '-P'],
  ],
  'bind mounts of every kind': [
    ...['-v', '/srv/cargo-test/a:/a:rshared', '-v', '/srv/cargo-test/b:/b:ro,z', '-v', '/srv/cargo-test/c:/c:Z'],
    ...['--mount', 'type=bind,src=/srv/cargo-test/d,dst=/d,readonly,bind-propagation=rprivate,bind-recursive=readonly'],
    ...['--mount', 'type=bind,src=/srv/cargo-test/e,dst=/e,bind-recursive=disabled'],
  ],
  'temporary file systems': [
    ...['--tmpfs=/t1', '--tmpfs=/t2:size=1m,mode=1770,uid=5,noexec'],
    ...['--mount', 'type=tmpfs,dst=/t3,tmpfs-size=1000000,tmpfs-mode=0700'],
  ],
  'name resolution': [
    ...['--dns=1.2.3.4', '--dns=::1', '--dns-search=.', '--dns-option=ndots:3', '--add-host=a:1.2.3.4'],
    ...['--add-host=gateway:host-gateway', '--add-host=six:::1'],
  ],
  'capabilities and security': [
    ...['--cap-add=ALL', '--cap-drop=NET_RAW', '--device-cgroup-rule=c 7:* rmw', '--security-opt=label=disable'],
    ...['--security-opt=apparmor=unconfined', '--security-opt=systempaths=unconfined'],
  ],
  'restart unless stopped': ['--restart=unless-stopped', '--stop-signal=SIGUSR1', '--stop-timeout=-1'],
  'restart on any failure': ['--restart=on-failure', '--stop-timeout=0'],
  'the log driver local': ['--log-driver=local', '--log-opt=max-size=2m', '--log-opt=compress=false'],
  'no log': ['--log-driver=none', '--init=false'],
  'a log that does not block': ['--log-opt=mode=non-blocking', '--log-opt=max-buffer-size=1m', '--log-opt=labels=a'],
  'another runtime': ['--runtime=io.containerd.runc.v2', '--platform=linux/amd64', '--isolation=default'],
  'a terminal': ['-i', '-t', '-a', 'stdin', '-a', 'stderr'],
  'an empty entry point': ['--entrypoint='],
  'the network of the host with a name': ['--network=host', '--hostname=named'],
};

test.for(Object.entries(options))('%s', async ([, args]) => {
  const { source, target } = pair;
  source.exec(
    'sh',
    '-c',
    'mkdir -p /srv/cargo-test/a /srv/cargo-test/b /srv/cargo-test/c /srv/cargo-test/d /srv/cargo-test/e',
  );
  source.docker('create', '--name', 'it', ...args, IMAGE, ...WAITING);
  const before = source.inspect('it');
  await moveWhole(source, target, 'it');
  expect(unexpected(differences(before, target.inspect('it')))).toEqual([]);
});

test.for([
  ['what the image says', []],
  ['what the image says, overruled', ['--no-healthcheck', '--entrypoint=sh', '-u', '', '-w', '', '--stop-signal=HUP']],
] as const)('%s', async ([, args]) => {
  const { source, target } = pair;
  source.docker('create', '--name', 'it', ...args, 'cargo-docker-test:full');
  const before = source.inspect('it');
  await moveWhole(source, target, 'it');
  const found = unexpected(differences(before, target.inspect('it')));
  // The volume is anonymous: it has a name of its own at the target.
  expect(found.filter((line) => !line.startsWith('Mounts:'))).toEqual([]);
});

test('networks with everything that an endpoint can have', async () => {
  const { source, target } = pair;
  const first = [
    '--subnet=10.91.0.0/24',
    '--ip-range=10.91.0.128/25',
    '--gateway=10.91.0.1',
    '--aux-address=r=10.91.0.5',
  ];
  source.docker('network', 'create', ...first, 'ep-one');
  source.docker(
    'network',
    'create',
    '--ipv6',
    '--subnet=fd00:91::/64',
    '-o',
    'com.docker.network.bridge.name=ep2',
    'ep-two',
  );
  source.docker(
    ...[
      'create',
      '--name',
      'it',
      '--network',
      'name=ep-one,alias=x,alias=y,ip=10.91.0.9,mac-address=02:00:00:00:00:09',
    ],
    ...['--network', 'name=ep-two,ip6=fd00:91::9,link-local-ip=169.254.8.8,driver-opt=a=b', IMAGE, ...WAITING],
  );
  const before = source.inspect('it');
  await moveWhole(source, target, 'it');
  expect(unexpected(differences(before, target.inspect('it')))).toEqual([]);
  for (const name of ['ep-one', 'ep-two']) {
    const [here, there] = [source, target].map((host) => JSON.parse(host.docker('network', 'inspect', name))[0]);
    expect(differences(here, there).filter((line) => !/^(Id|Created|Containers)/.test(line))).toEqual([]);
  }
});

test('volumes with labels, driver options and parts of them, and an image by its id', async () => {
  const { source, target } = pair;
  source.docker('volume', 'create', '--label', 'x=y', 'parts');
  source.docker('run', '--rm', '-v', 'parts:/x', IMAGE, 'mkdir', '-p', '/x/sub/dir');
  source.docker(
    'volume',
    'create',
    '-o',
    'type=tmpfs',
    '-o',
    'device=tmpfs',
    '-o',
    'o=size=1m',
    '--label',
    'in=memory',
    'mem',
  );
  const id = source.docker('image', 'inspect', '-f', '{{.Id}}', IMAGE);
  source.docker(
    ...['create', '--name', 'it', '-v', 'parts:/whole:nocopy', '--volume-driver=local', '-v', 'mem:/mem'],
    ...['--mount', 'type=volume,src=parts,dst=/part,volume-subpath=sub/dir', id, ...WAITING],
  );
  const before = source.inspect('it');
  await moveWhole(source, target, 'it');
  expect(unexpected(differences(before, target.inspect('it')))).toEqual([]);
  for (const name of ['parts', 'mem']) {
    const [here, there] = [source, target].map((host) => JSON.parse(host.docker('volume', 'inspect', name))[0]);
    expect(differences(here, there).filter((line) => !line.startsWith('CreatedAt'))).toEqual([]);
  }
});

test('anonymous volumes are: docker rm -v removes them, where the container has moved to and when it has moved back', async () => {
  const { source, target } = pair;
  const create = () =>
    source.docker('run', '-d', '--name', 'it', '-v', '/one', '--mount', 'type=volume,dst=/two', IMAGE, ...WAITING);
  create();
  await moveWhole(source, target, 'it');
  target.docker('rm', '-fv', 'it');
  expect(target.docker('volume', 'ls', '-q')).toBe('');
  sweep(source);
  create();
  await moveWhole(target, source, 'it', await moveWhole(source, target, 'it'));
  source.docker('rm', '-fv', 'it');
  expect(source.docker('volume', 'ls', '-q')).toBe('');
});
