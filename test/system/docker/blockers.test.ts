import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Finding } from '../../../src/api/plan.ts';
import { HostPair, IMAGE, sweep, WAITING } from './pair.ts';

let pair: HostPair;

beforeAll(() => {
  pair = new HostPair();
  pair.copyImage(IMAGE);
});
afterAll(() => pair[Symbol.dispose]());
afterEach(() => [pair.source, pair.target].forEach(sweep));

const run = (name: string, ...options: string[]) => ['run', '-d', '--name', name, ...options, IMAGE, ...WAITING];

function codes(findings: Finding[], level: Finding['level']): string[] {
  return findings.filter((finding) => finding.level === level).map(({ code, subject }) => `${code} ${subject}`);
}

async function blockersAtSource(container = 'it'): Promise<string[]> {
  return codes((await pair.source.describe(container)).findings, 'blocker');
}

async function foundAtTarget(level: Finding['level'], container = 'it'): Promise<string[]> {
  const { definition } = await pair.source.describe(container);
  return codes((await pair.target.preflight({ definition, bases: [] })).findings, level);
}

test('an ordinary container has no blockers', async () => {
  pair.source.docker(...run('it', '-v', 'it:/data', '-v', '/srv/cargo-test/dir:/bind', '-p', '18081:80'));
  expect(await blockersAtSource()).toEqual([]);
  expect(await foundAtTarget('blocker')).toEqual([]);
  expect(await foundAtTarget('warning')).toEqual([]);
});

test.each<[string, string[], string]>([
  ['--rm', ['--rm'], 'auto-remove it'],
  ['the Docker socket', ['-v', '/var/run/docker.sock:/sock'], 'bind-socket /var/run/docker.sock'],
  ['/', ['-v', '/:/host'], 'bind-system-path /'],
  ['/proc', ['-v', '/proc/1:/p'], 'bind-system-path /proc/1'],
  ['/sys', ['-v', '/sys/fs:/s'], 'bind-system-path /sys/fs'],
  ['/dev', ['-v', '/dev/shm:/s'], 'bind-system-path /dev/shm'],
  ['/etc', ['-v', '/etc:/e'], 'bind-system-path /etc'],
  ['/run', ['-v', '/run:/r'], 'bind-system-path /run'],
  ['/var/run', ['-v', '/var/run:/r'], 'bind-system-path /var/run'],
  ["a directory above Docker's data", ['-v', '/var/lib:/l'], 'bind-docker-root /var/lib'],
  ["a directory in Docker's data", ['-v', '/var/lib/docker/tmp:/l'], 'bind-docker-root /var/lib/docker/tmp'],
  ['another container’s network', ['--network', 'container:other'], 'network-of-container '],
  ['another container’s IPC', ['--ipc', 'container:other'], 'ipc-of-container '],
  ['another container’s processes', ['--pid', 'container:other'], 'process-of-container '],
  ['a device', ['--device', '/dev/null:/dev/x'], 'device /dev/null'],
  ['a swarm task', ['--label', 'com.docker.swarm.task.id=x'], 'swarm-task it'],
  [
    'a volume in a volume',
    ['-v', '/srv/cargo-test:/a', '-v', '/srv/cargo-test/in:/b'],
    'bind-nested /srv/cargo-test/in',
  ],
])('%s is a blocker', async (_, options, expected) => {
  pair.source.docker(...run('other', '--ipc', 'shareable'));
  pair.source.docker(...run('it', ...options));
  expect((await blockersAtSource()).map((code) => code.slice(0, expected.length))).toContain(expected);
});

test('a paused container and a restarting one are blockers', async () => {
  pair.source.docker(...run('it'));
  pair.source.docker('pause', 'it');
  expect(await blockersAtSource()).toEqual(['paused it']);
  pair.source.docker('unpause', 'it');
  pair.source.docker('run', '-d', '--name', 'crashing', '--restart', 'always', IMAGE, 'false');
  await expect.poll(() => blockersAtSource('crashing'), { timeout: 10_000 }).toEqual(['restarting crashing']);
});

test('a volume that is a directory or a disk of the host under another name is a blocker', async () => {
  pair.source.exec('mkdir', '-p', '/srv/cargo-test/device');
  const options = ['type=none', 'o=bind', 'device=/srv/cargo-test/device'].flatMap((option) => ['-o', option]);
  pair.source.docker('volume', 'create', ...options, 'optioned');
  pair.source.docker(...run('it', '-v', 'optioned:/data'));
  expect(await blockersAtSource()).toEqual(['volume-options optioned']);
  const { findings } = await pair.source.describe('it');
  expect(findings.find(({ code }) => code === 'volume-options')?.message).toContain('device, o, type');
});

test('another file system mounted inside the data is a blocker', async () => {
  pair.source.docker(...run('it', '-v', '/srv/cargo-test/outer:/data'));
  pair.source.exec('sh', '-c', 'mkdir /srv/cargo-test/outer/inner && mount -t tmpfs tmpfs /srv/cargo-test/outer/inner');
  try {
    expect(await blockersAtSource()).toEqual(['data-not-copyable /srv/cargo-test/outer']);
  } finally {
    pair.source.exec('umount', '/srv/cargo-test/outer/inner');
  }
});

test('a volume whose directory is another one of the same disk is a blocker', async () => {
  const data = '/var/lib/docker/volumes/it/_data';
  pair.source.docker('volume', 'create', 'it');
  pair.source.exec('sh', '-c', `mkdir -p /srv/cargo-test/elsewhere; mount --bind /srv/cargo-test/elsewhere ${data}`);
  try {
    pair.source.docker(...run('it', '-v', 'it:/data'));
    expect(await blockersAtSource()).toEqual(['volume-is-mount-point it']);
  } finally {
    pair.source.exec('umount', data);
  }
});

test('data that a running container shares is a blocker, with a stopped one a warning', async () => {
  pair.source.docker(...run('it', '-v', 'shared:/data', '-v', '/srv/cargo-test/deep:/deep'));
  pair.source.docker(...run('volume-user', '-v', 'shared:/there:ro'));
  expect(await blockersAtSource()).toEqual(['data-shared shared']);
  pair.source.docker('rm', '-f', 'volume-user');
  for (const path of ['/srv/cargo-test', '/srv/cargo-test/deep', '/srv/cargo-test/deep/er']) {
    pair.source.docker(...run('path-user', '-v', `${path}:/there`));
    expect(await blockersAtSource(), path).toEqual(['data-shared /srv/cargo-test/deep']);
    pair.source.docker('rm', '-f', 'path-user');
  }
  pair.source.docker('create', '--name', 'asleep', '-v', 'shared:/there', IMAGE);
  expect(await blockersAtSource()).toEqual([]);
  expect(codes((await pair.source.describe('it')).findings, 'warning')).toEqual(['data-shared-with-stopped shared']);
});

test('reading the same bind mount is a warning while both only read', async () => {
  pair.source.docker(...run('it', '-v', '/srv/cargo-test/ro:/ro:ro'));
  pair.source.docker(...run('reader', '-v', '/srv/cargo-test/ro:/ro:ro'));
  expect(await blockersAtSource()).toEqual([]);
  expect(codes((await pair.source.describe('it')).findings, 'warning')).toEqual([
    'data-shared-read-only /srv/cargo-test/ro',
  ]);
  pair.source.docker(...run('writer', '-v', '/srv/cargo-test/ro:/rw'));
  expect(await blockersAtSource()).toEqual(['data-shared /srv/cargo-test/ro']);
});

test('what a move loses or changes is said beforehand', async () => {
  pair.source.docker(...run('pal'));
  pair.source.docker(...run('it', '--tmpfs', '/scratch', '-p', '80', '--link', 'pal', '-v', 'it:/deep/data'));
  pair.source.docker('exec', 'it', 'touch', '/new', '/scratch/x', '/deep/data/x');
  const { findings } = await pair.source.describe('it');
  expect(codes(findings, 'warning').sort()).toEqual([
    'host-port-changes 80/tcp',
    'tmpfs-lost /scratch',
    'writable-layer-stays it',
  ]);
  expect(findings.find(({ code }) => code === 'writable-layer-stays')?.message).toMatch(/^1 paths/);
});

test('a legacy link is a blocker until the container that it names runs at the target', async () => {
  pair.source.docker(...run('pal'));
  pair.source.docker(...run('it', '--link', 'pal:friend'));
  expect(await foundAtTarget('blocker')).toEqual(['link-missing /pal:/it/friend']);
  pair.target.docker(...run('pal'));
  expect(await foundAtTarget('blocker')).toEqual([]);
});

test('a volume of a network file system is attached, unless the target knows another one of that name', async () => {
  const create = (host: typeof pair.source, device: string) =>
    host.docker('volume', 'create', '-o', 'type=nfs', '-o', 'o=addr=192.0.2.1', '-o', `device=${device}`, 'far');
  create(pair.source, ':/export');
  pair.source.docker('create', '--name', 'it', '--mount', 'type=volume,src=far,dst=/far,volume-nocopy', IMAGE);
  expect(await blockersAtSource()).toEqual([]);
  expect(codes((await pair.source.describe('it')).findings, 'info')).toContain('volume-attached far');
  expect(await foundAtTarget('blocker')).toEqual([]);
  create(pair.target, ':/export');
  expect(await foundAtTarget('blocker')).toEqual([]);
  pair.target.docker('volume', 'rm', 'far');
  create(pair.target, ':/other');
  expect(await foundAtTarget('blocker')).toEqual(['volume-exists far']);
});

test('a file that is only read and is the same at the target is left alone, another one is a blocker', async () => {
  const path = '/srv/cargo-test/zone';
  const write = (host: typeof pair.source, text: string, mode = '644') =>
    host.exec('sh', '-c', `mkdir -p /srv/cargo-test; printf '${text}' > ${path}; chmod ${mode} ${path}`);
  write(pair.source, 'UTC');
  pair.source.docker(...run('it', '-v', `${path}:/etc/localtime:ro`));
  const { definition } = await pair.source.describe('it');
  const asked = async () => {
    const { findings, sameFiles } = await pair.target.preflight({ definition, bases: [] });
    return [...codes(findings, 'blocker'), ...sameFiles];
  };
  write(pair.target, 'UTC');
  expect(await asked()).toEqual([0]);
  write(pair.target, 'UTC', '600');
  expect(await asked()).toEqual([`bind-path-not-empty ${path}`]);
  write(pair.target, 'CET');
  expect(await asked()).toEqual([`bind-path-not-empty ${path}`]);
});

test('a name, a port or an address that is taken at the target is a blocker', async () => {
  pair.source.docker(...run('it', '-p', '18082:80', '-p', '127.0.0.1:18083:81', '-p', '18084:82/udp'));
  pair.target.docker(...run('it'));
  pair.target.docker(...run('web', '-p', '18082:80', '-p', '18084:82/udp'));
  pair.target.docker('run', '-d', '--name', 'listening', '--network', 'host', IMAGE, 'nc', '-l', '-p', '18083');
  await expect
    .poll(() => foundAtTarget('blocker'))
    .toEqual([
      'name-taken it',
      'host-port-taken 0.0.0.0:18082/tcp',
      'host-port-taken 127.0.0.1:18083/tcp',
      'host-port-taken 0.0.0.0:18084/udp',
    ]);
});

test('a host address that the target does not have is a blocker', async () => {
  const address = pair.source.exec(
    'sh',
    '-c',
    "ip -4 -o addr show scope global | grep -v docker | awk '{print $4}' | cut -d/ -f1 | head -1",
  );
  pair.source.docker(...run('it', '-p', `${address}:18085:80`));
  expect(await foundAtTarget('blocker')).toEqual([`host-address-missing ${address}:18085/tcp`]);
});

test('a volume or content that Cargo did not leave at the target is a blocker, an empty directory is not', async () => {
  pair.source.exec('sh', '-c', 'mkdir -p /srv/cargo-test/full /srv/cargo-test/empty; echo x > /srv/cargo-test/file');
  const binds = ['full', 'empty', 'file'].flatMap((name) => ['-v', `/srv/cargo-test/${name}:/${name}`]);
  pair.source.docker(...run('it', '-v', 'mine:/data', ...binds));
  pair.target.docker('volume', 'create', 'mine');
  pair.target.exec(
    'sh',
    '-c',
    'mkdir -p /srv/cargo-test/full /srv/cargo-test/empty; touch /srv/cargo-test/full/x /srv/cargo-test/file',
  );
  expect((await foundAtTarget('blocker')).sort()).toEqual([
    'bind-path-not-empty /srv/cargo-test/file',
    'bind-path-not-empty /srv/cargo-test/full',
    'volume-exists mine',
  ]);
});

test('a bind path below a file of the target is a blocker', async () => {
  pair.source.docker(...run('it', '-v', '/srv/cargo-test/a/b:/b'));
  pair.target.exec('sh', '-c', 'mkdir -p /srv/cargo-test; touch /srv/cargo-test/a');
  expect(await foundAtTarget('blocker')).toEqual(['bind-path-not-creatable /srv/cargo-test/a/b']);
});

test('another network of the same name, or its addresses, is a blocker where it matters', async () => {
  pair.source.docker('network', 'create', '--subnet', '10.78.0.0/24', 'fixed');
  pair.source.docker('network', 'create', '--subnet', '10.79.0.0/24', 'loose');
  pair.source.docker(...run('it', '--network', 'fixed', '--ip', '10.78.0.9'));
  pair.source.docker('network', 'connect', 'loose', 'it');
  pair.target.docker('network', 'create', '--subnet', '10.78.0.0/16', 'elsewhere');
  pair.target.docker('network', 'create', '--subnet', '10.79.0.0/24', 'elsewhere-too');
  expect(await foundAtTarget('blocker')).toEqual(['subnet-taken fixed']);
  expect(await foundAtTarget('warning')).toEqual(['subnet-taken loose']);
  pair.target.docker('network', 'rm', 'elsewhere');
  pair.target.docker('network', 'create', '--internal', '--subnet', '10.78.0.0/24', 'fixed');
  expect(await foundAtTarget('blocker')).toEqual(['network-differs fixed']);
});

test('another image under the same tag is a warning', async () => {
  pair.source.docker(...run('it'));
  pair.target.exec('sh', '-c', `tar -c -T /dev/null | docker import - ${IMAGE}`);
  expect(await foundAtTarget('warning')).toEqual([`tag-differs ${IMAGE}`]);
  pair.copyImage(IMAGE);
});

test('more data than the target has room for is a blocker', async () => {
  pair.source.docker(...run('it', '-v', 'big:/data'));
  const { definition } = await pair.source.describe('it');
  const mounts = definition.mounts.map((mount) => ({ ...mount, bytes: 2 ** 60 }));
  const { findings } = await pair.target.preflight({ definition: { ...definition, mounts }, bases: [] });
  expect(codes(findings, 'blocker')).toEqual(['disk-full /var/lib/docker']);
});

test('another architecture, runtime or log driver, or fewer CPUs, is a blocker', async () => {
  pair.source.docker(...run('it'));
  const { definition } = await pair.source.describe('it');
  const inspect = structuredClone(definition.inspect) as { HostConfig: Record<string, unknown> };
  inspect.HostConfig['Runtime'] = 'kata';
  inspect.HostConfig['NanoCpus'] = 1000e9;
  inspect.HostConfig['LogConfig'] = { Type: 'loki', Config: {} };
  const image = { ...definition.image, architecture: 's390x' };
  const { findings } = await pair.target.preflight({ definition: { ...definition, image, inspect }, bases: [] });
  expect(codes(findings, 'blocker')).toEqual([
    `architecture-differs ${IMAGE}`,
    'runtime-missing kata',
    'log-driver-missing loki',
    'too-few-cpus 1000 CPUs',
  ]);
});

test('an unknown container is not found', async () => {
  await expect(pair.source.describe('nobody')).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' });
});
