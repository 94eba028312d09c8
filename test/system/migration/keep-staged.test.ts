import { afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';

const MIB = 1024 * 1024;
let lab: LabUnderTest;

beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('busybox', 'h1');
});

afterEach(async () => {
  const clear = 'docker ps -aq | xargs -r docker rm -fv; docker volume prune -af; rm -rf /srv/kept';
  for (const host of ['h1', 'h2', 'h3']) await lab.exec(host, 'sh', '-c', clear);
});

/** A container that has to be killed to stop, so that its move goes back after the copying; 8 MiB in each of its mounts. */
async function stubborn(): Promise<string> {
  const fill = 'for d in named bare bind; do head -c 8388608 /dev/urandom > /$d/blob; done; touch /named/ready';
  const mounts = ['-v', 'kept:/named', '-v', '/bare', '-v', '/srv/kept:/bind'];
  const run = ['docker', 'run', '-d', '--name', 'stubborn', '--stop-timeout', '1', ...mounts, 'busybox:lab'];
  await lab.must(
    'h1',
    ...run,
    'sh',
    '-c',
    `test -e /named/ready || { ${fill}; }; trap : TERM; while :; do sleep 1; done`,
  );
  await expect
    .poll(() => lab.exec('h1', 'docker', 'exec', 'stubborn', 'ls', '/named/ready'))
    .toMatchObject({ status: 0 });
  return sums('h1');
}

const sums = (host: string): Promise<string> =>
  lab.must(host, 'docker', 'exec', 'stubborn', 'md5sum', '/named/blob', '/bare/blob', '/bind/blob');

const volumes = (host: string): Promise<string> => lab.must(host, 'docker', 'volume', 'ls', '-q');

test('what was copied stays for the next try, which sends the difference, and nothing is left over in the end', async () => {
  const before = await stubborn();
  const failed = await lab.cargoctl('migrate', 'stubborn', '--to', 'h2', '--strategy', 'precopy', '--keep-staged');
  expect(failed).toMatchObject({ status: 8, stderr: expect.stringContaining('kept on h2 for another try') });
  expect(await lab.must('h2', 'docker', 'ps', '-aq'), 'no container at the target').toBe('');
  expect((await volumes('h2')).split('\n'), 'the named and the anonymous volume').toHaveLength(2);
  expect(await sums('h1')).toBe(before);

  await lab.lab('restart-agent', 'h2');
  await lab.must('h1', 'docker', 'exec', 'stubborn', 'sh', '-c', 'echo more > /bare/more');
  const moved = await lab.cargoctl('migrate', 'stubborn', '--to', 'h2', '--strategy', 'precopy', '--force');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  const { rounds } = await lab.status('stubborn');
  expect(
    rounds.reduce((sum, { bytes }) => sum + bytes, 0),
    'bytes of the second try',
  ).toBeLessThan(MIB);
  expect(await sums('h2')).toBe(before);
  expect(await lab.must('h2', 'docker', 'exec', 'stubborn', 'cat', '/bare/more')).toBe('more');
  expect((await volumes('h2')).split('\n')).toHaveLength(2);
  expect(await lab.must('h2', 'sh', '-c', 'ls -d /var/lib/docker/volumes/*/_data*')).not.toContain('kept-');
});

test('without being asked to, nothing stays', async () => {
  await stubborn();
  expect(await lab.cargoctl('migrate', 'stubborn', '--to', 'h2', '--strategy', 'precopy')).toMatchObject({ status: 8 });
  expect(await lab.must('h2', 'docker', 'ps', '-aq')).toBe('');
  expect(await volumes('h2')).toBe('');
  expect((await lab.exec('h2', 'ls', '/srv/kept')).status).not.toBe(0);
});
