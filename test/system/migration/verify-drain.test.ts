import { afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';

const VOLUME = '/var/lib/docker/volumes/kept/_data';
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

async function run(name: string, options: string[], script = 'exec sleep 100000'): Promise<void> {
  const all = ['docker', 'run', '-d', '--stop-signal', 'KILL', '--name', name, ...options, 'busybox:lab'];
  await lab.must('h1', ...all, 'sh', '-c', script);
}

async function here(host: string): Promise<string[]> {
  const names = await lab.must(host, 'docker', 'ps', '--format', '{{.Names}}');
  return names.split('\n').filter((name) => name !== '');
}

test('verify passes while the container writes, finds a byte that changed under it, and is over after a failover', async () => {
  await run(
    'kept',
    ['-v', 'kept:/data'],
    '[ -e /data/quiet ] || echo quiet > /data/quiet; while :; do date >> /data/busy; sleep 0.1; done',
  );
  await expect.poll(() => lab.exec('h1', 'docker', 'exec', 'kept', 'cat', '/data/busy')).toMatchObject({ status: 0 });
  expect(await lab.cargoctl('verify', 'kept')).toMatchObject({ status: 3 });
  expect(await lab.cargoctl('migrate', 'kept', '--to', 'h2', '--wait')).toMatchObject({ status: 0 });

  const passed = await lab.cargoctl('verify', 'kept');
  expect(passed, passed.stderr).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('are what the source sent'),
  });
  const { verification } = await lab.status('kept');
  expect(verification).toMatchObject({ state: 'passed', differences: 0 });
  expect(verification?.files, 'the quiet file').toBeGreaterThanOrEqual(1);
  expect(verification?.changed, 'the busy file').toBeGreaterThanOrEqual(1);

  // A byte that changes under the file system, with the clock put back: nobody has written, and yet it differs.
  await lab.must(
    'h2',
    'sh',
    '-c',
    `echo QUIET > ${VOLUME}/quiet && for s in /var/lib/cargo/migrations/*/mount-*/target.json; do touch -d '+1 minute' $s; done`,
  );
  const failed = await lab.cargoctl('verify', 'kept');
  expect(failed).toMatchObject({ status: 10, stderr: expect.stringContaining('kept: quiet') });
  expect(failed.stderr).toContain('CHECKSUM_MISMATCH');

  expect(await lab.cargoctl('failover', 'kept')).toMatchObject({ status: 0 });
  expect(await lab.cargoctl('verify', 'kept')).toMatchObject({ status: 4, stderr: expect.stringContaining('before') });
});

test('drain moves all containers, dependencies first, and stops where one is blocked', async () => {
  const service = (name: string, needs: string): string[] => [
    ...['--label', 'com.docker.compose.project=shop', '--label', `com.docker.compose.service=${name}`],
    ...['--label', `com.docker.compose.depends_on=${needs}`],
  ];
  await run('app', service('app', 'db:service_started:false'));
  await run('db', [...service('db', ''), '-v', 'kept:/data']);
  await run('loner', ['-p', '8123:80']);
  await lab.image('busybox', 'h2');
  await lab.must('h2', 'docker', 'run', '-d', '--name', 'squatter', '-p', '8123:80', 'busybox:lab', 'sleep', '100000');

  const blocked = await lab.cargoctl('drain', 'h1', '--to', 'h2');
  expect(blocked).toMatchObject({ status: 5, stderr: expect.stringContaining('nothing was moved') });
  expect(blocked.stdout).toMatch(/loner +- .*blocked/);
  expect(await here('h1')).toHaveLength(3);

  const dry = await lab.cargoctl('drain', 'h1', '--to', 'h2', 'h3', '--dry-run');
  expect(dry, dry.stderr).toMatchObject({ status: 0 });
  expect(await here('h1')).toHaveLength(3);

  const drained = await lab.cargoctl('drain', 'h1', '--to', 'h2', 'h3', '--parallel', '2');
  expect(drained, drained.stderr).toMatchObject({ status: 0 });
  expect(drained.stdout.indexOf('db: to h2')).toBeLessThan(drained.stdout.indexOf('app: to h2'));
  expect(await here('h1')).toEqual([]);
  expect((await here('h2')).sort()).toEqual(['app', 'db', 'squatter']);
  expect(await here('h3')).toEqual(['loner']);

  const again = await lab.cargoctl('drain', 'h1', '--to', 'h2');
  expect(again).toMatchObject({ status: 0, stdout: 'there is nothing to move on h1\n' });
});
