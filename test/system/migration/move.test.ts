import { afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';

let lab: LabUnderTest;

beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('busybox', 'h1');
});

afterEach(async () => {
  for (const host of ['h1', 'h2', 'h3']) {
    await lab.exec(host, 'sh', '-c', 'docker ps -aq | xargs -r docker rm -f; docker volume prune -af');
  }
});

const fill =
  'test -e /data/link || { mkdir -p /data/sub && head -c 300000 /dev/urandom > /data/blob && echo hello > /data/sub/file && ln -s sub/file /data/link; }';

test('a container with a named volume moves, is released, and moves back with only its differences', async () => {
  await lab.must('h1', 'docker', 'volume', 'create', 'movedata');
  await lab.must(
    'h1',
    'docker',
    'run',
    '-d',
    '--stop-signal',
    'KILL',
    '--name',
    'mover',
    '--restart',
    'unless-stopped',
    '-v',
    'movedata:/data',
    '-v',
    '/etc/debian_version:/host-file:ro',
    '-p',
    '8099:80',
    '-e',
    'WHO=me',
    'busybox:lab',
    'sh',
    '-c',
    `${fill}; exec httpd -f -p 80 -h /data`,
  );
  await expect
    .poll(async () => (await lab.exec('h1', 'docker', 'exec', 'mover', 'test', '-L', '/data/link')).status)
    .toBe(0);
  const hostFile = async (host: string) => lab.must(host, 'stat', '-c', '%i %y %z', '/etc/debian_version');
  const hostFiles = [await hostFile('h1'), await hostFile('h2')];
  const sums = await lab.must('h1', 'docker', 'exec', 'mover', 'sh', '-c', 'cd /data && md5sum blob sub/file');

  const moved = await lab.cargoctl('migrate', 'mover', '--from', 'h1', '--to', 'h2', '--watch', '--wait');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  expect(await lab.status('mover')).toMatchObject({ phase: 'copied', source: 'h1', target: 'h2', error: null });
  expect(await lab.must('h2', 'docker', 'exec', 'mover', 'sh', '-c', 'cd /data && md5sum blob sub/file')).toBe(sums);
  const kept = '{{.HostConfig.RestartPolicy.Name}} {{(index (index .HostConfig.PortBindings "80/tcp") 0).HostPort}}';
  expect(await lab.must('h2', 'docker', 'inspect', '-f', kept, 'mover')).toBe('unless-stopped 8099');
  const { movedAs } = await lab.status('mover');
  expect(movedAs).toMatch(/^mover-moved-[0-9a-f]{12}$/);
  for (const name of ['mover', movedAs ?? '']) {
    expect((await lab.exec('h1', 'docker', 'start', name)).status, `docker start ${name} at the source fails`).not.toBe(
      0,
    );
  }

  const failover = await lab.cargoctl('failover', 'mover');
  expect(failover, failover.stderr).toMatchObject({ status: 0 });
  expect((await lab.status('mover')).phase).toBe('completed');

  await lab.must('h2', 'docker', 'exec', 'mover', 'sh', '-c', 'echo more >> /data/sub/file');
  const back = await lab.cargoctl('migrate', 'mover', '--to', 'h1', '--precopy-seconds', '60', '--watch', '--wait');
  expect(back, back.stderr).toMatchObject({ status: 0 });
  const returned = await lab.status('mover');
  expect(returned).toMatchObject({ phase: 'copied', source: 'h2', target: 'h1' });
  const travelled = returned.rounds.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(travelled, 'bytes that travelled on the way back').toBeLessThan(100_000);
  expect(await lab.must('h1', 'docker', 'exec', 'mover', 'cat', '/data/sub/file')).toBe('hello\nmore');
  expect(await lab.must('h1', 'docker', 'ps', '-a', '--format', '{{.Names}}')).toBe('mover');
  expect([await hostFile('h1'), await hostFile('h2')], 'a file that is the same on both hosts').toEqual(hostFiles);
  expect((await lab.cargoctl('failover', 'mover', '--cleanup')).status).toBe(0);
  expect(await lab.must('h2', 'docker', 'ps', '-a', '--format', '{{.Names}}')).toBe('');
  expect(await lab.must('h2', 'docker', 'volume', 'ls', '-q')).toBe('');
});

test('what a container has written at the target before it failed there is kept', async () => {
  const h1 = await lab.address('h1');
  const script = `${fill}; ip addr | grep -qF ' ${h1}/' || { echo acknowledged > /data/written; exit 3; }; exec sleep 100000`;
  const options = ['--stop-signal', 'KILL', '--network', 'host', '-v', 'writerdata:/data', '--name', 'writer'];
  await lab.must('h1', 'docker', 'run', '-d', ...options, 'busybox:lab', 'sh', '-c', script);
  await expect
    .poll(async () => (await lab.exec('h1', 'docker', 'exec', 'writer', 'test', '-L', '/data/link')).status)
    .toBe(0);
  const moved = await lab.cargoctl('migrate', 'writer', '--to', 'h2', '--strategy', 'precopy');
  expect(moved.status, moved.stdout).not.toBe(0);
  expect(await lab.must('h1', 'docker', 'inspect', '-f', '{{.State.Running}}', 'writer')).toBe('true');
  const [, keptAs = ''] = /kept there: stopped, as (writer-lost-[0-9a-f]{12})/.exec(moved.stderr) ?? [];
  expect(await lab.must('h2', 'docker', 'ps', '-a', '--format', '{{.Names}}')).toBe(keptAs);
  expect((await lab.exec('h2', 'docker', 'start', keptAs)).status, 'docker start of the kept copy').not.toBe(0);
  const aside = 'cat /var/lib/docker/volumes/writerdata/_data.lost-to-h1-*/written';
  expect(await lab.must('h2', 'sh', '-c', aside)).toBe('acknowledged');
});

test('a container that fails at the target runs again at the source, and the target is as before', async () => {
  const h1 = await lab.address('h1');
  const onlyHere = `ip addr | grep -qF ' ${h1}/' || exit 3; ${fill}; exec sleep 100000`;
  const run = [
    'docker',
    'run',
    '-d',
    '--stop-signal',
    'KILL',
    '--network',
    'host',
    '-v',
    'homedata:/data',
    '--name',
    'homesick',
  ];
  await lab.must('h1', ...run, 'busybox:lab', 'sh', '-c', onlyHere);
  const filled = async (): Promise<number> =>
    (await lab.exec('h1', 'docker', 'exec', 'homesick', 'test', '-L', '/data/link')).status;
  await expect.poll(filled).toBe(0);
  const id = await lab.must('h1', 'docker', 'inspect', '-f', '{{.Id}}', 'homesick');
  await lab.must('h1', 'docker', 'exec', 'homesick', 'sh', '-c', 'echo kept > /data/kept');
  const moved = await lab.cargoctl('migrate', 'homesick', '--to', 'h2');
  expect(moved.status, moved.stdout).not.toBe(0);
  expect((await lab.status('homesick')).phase).toBe('rolled-back');
  expect(await lab.must('h2', 'docker', 'ps', '-aq')).toBe('');
  expect(await lab.must('h2', 'docker', 'volume', 'ls', '-q')).toBe('');
  expect(await lab.must('h1', 'docker', 'inspect', '-f', '{{.Id}} {{.State.Running}}', 'homesick')).toBe(`${id} true`);
  expect(await lab.must('h1', 'docker', 'exec', 'homesick', 'cat', '/data/kept')).toBe('kept');
});
