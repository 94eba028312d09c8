import { afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';
import { tracesOfHydration } from './traces.ts';

let lab: LabUnderTest;

beforeAll(async () => {
  lab = await LabUnderTest.open();
});

afterEach(() => lab.sweep(['h1', 'h2']));

async function reaches(container: string, phase: string): Promise<void> {
  const poll = { timeout: 120_000, interval: 100 };
  await expect.poll(async () => (await lab.status(container)).phase, poll).toBe(phase);
}

/** A container whose data follows from h1 to h2, slowly. @returns the sum of the first of its two files */
async function follower(): Promise<string> {
  await lab.image('busybox', 'h1');
  const run =
    'test -e /data/g || for i in f g; do head -c 10000000 /dev/urandom > /data/$i; done; trap "exit 0" TERM; echo started; touch /data/sums; while :; do sleep 0.1; done';
  await lab.must(
    'h1',
    ...['docker', 'run', '-d', '--restart', 'always', '--name', 'bare', '-v', 'bare:/data'],
    'busybox:lab',
    'sh',
    '-c',
    run,
  );
  await expect
    .poll(async () => (await lab.exec('h1', 'docker', 'exec', 'bare', 'test', '-e', '/data/sums')).status)
    .toBe(0);
  const sum = await lab.must('h1', 'docker', 'exec', 'bare', 'sh', '-c', 'md5sum < /data/f');
  await migrate();
  return sum;
}

async function migrate(): Promise<void> {
  const moved = await lab.cargoctl('migrate', 'bare', '--to', 'h2', '--strategy', 'lazy', '--bwlimit', '100K');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
}

async function comesTo(code: string): Promise<void> {
  const poll = { timeout: 60_000, interval: 100 };
  await expect.poll(async () => (await lab.status('bare')).error?.code, poll).toBe(code);
}

async function recover(sum: string): Promise<void> {
  const recovered = await lab.cargoctl('recover', 'bare', '--at', 'source', '--accept-loss');
  expect(recovered, recovered.stderr).toMatchObject({ status: 0 });
  expect(await lab.must('h1', 'docker', 'exec', 'bare', 'sh', '-c', 'md5sum < /data/f')).toBe(sum);
}

test('the target loses its power while data follows: the container is up again by itself, with every byte', async () => {
  await lab.image('busybox', 'h1');
  const fill =
    'for i in 1 2 3 4 5 6; do head -c 5000000 /dev/urandom > /data/f$i; done; cd /data; md5sum f* > sums; touch done';
  const run = `test -e /data/done || { ${fill}; }; echo started >> /data/log; trap "exit 0" TERM; while :; do sleep 0.1; done`;
  await lab.must(
    'h1',
    ...['docker', 'run', '-d', '--restart', 'always', '--name', 'cold', '-v', 'colddata:/data'],
    'busybox:lab',
    'sh',
    '-c',
    run,
  );
  await expect
    .poll(async () => (await lab.exec('h1', 'docker', 'exec', 'cold', 'test', '-e', '/data/log')).status)
    .toBe(0);
  const moved = await lab.cargoctl('migrate', 'cold', '--to', 'h2', '--strategy', 'lazy', '--bwlimit', '1M');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  await lab.must('h2', 'docker', 'exec', 'cold', 'sh', '-c', 'cd /data; md5sum f1 && sync');

  await lab.lab('kill', 'h2');
  await lab.lab('boot', 'h2');
  const isUp = async (): Promise<number> => (await lab.exec('h2', 'docker', 'exec', 'cold', 'true')).status;
  await expect.poll(isUp, { timeout: 60_000 }).toBe(0);
  expect((await lab.status('cold')).phase, 'there was something left to protect').toBe('hydrating');
  expect(await lab.must('h2', 'docker', 'exec', 'cold', 'sh', '-c', 'cd /data; md5sum -c sums; cat log')).toBe(
    [...[1, 2, 3, 4, 5, 6].map((n) => `f${n}: OK`), 'started', 'started', 'started'].join('\n'),
  );
  await reaches('cold', 'copied');
  expect(await tracesOfHydration(lab, 'h2')).toBe('0');
});

test('what the operator does while data follows is as without Cargo; its removal ends the migration, and the source is kept', async () => {
  const sum = await follower();
  const docker = (...args: string[]): Promise<string> => lab.must('h2', 'docker', ...args);
  await docker('stop', 'bare');
  expect(await docker('inspect', '-f', '{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}', 'bare')).toBe(
    'exited always',
  );
  await docker('start', 'bare');
  await docker('restart', 'bare');
  expect(await docker('logs', 'bare')).toBe('started\nstarted\nstarted');
  await lab.must('h2', 'sh', '-c', 'docker cp bare:/data/f /tmp/copied && docker exec bare rm /data/sums');
  expect(await lab.must('h2', 'sh', '-c', 'md5sum < /tmp/copied; rm /tmp/copied')).toBe(sum);
  await docker('run', '-d', '--name', 'other', '-v', 'bare:/data', 'busybox:lab', 'sleep', '1000');
  await docker('stop', 'bare');
  const onward = await lab.cargoctl('migrate', 'other', '--to', 'h3');
  expect(onward.status).not.toBe(0);
  expect(onward.stderr, 'what is not here can not go on from here').toContain('still follows');
  expect((await lab.status('bare')).phase).toBe('hydrating');

  await docker('rm', '-f', 'bare');
  await comesTo('TARGET_REMOVED');
  expect(await tracesOfHydration(lab, 'h2')).toBe('0');
  expect(await docker('inspect', '-f', '{{.State.Running}}', 'other'), 'nobody reads what is not whole').toBe('false');
  expect((await lab.exec('h2', 'docker', 'start', 'other')).status).not.toBe(0);
  expect((await lab.exec('h1', 'sh', '-c', 'docker start $(docker ps -aq)')).status, 'the source waits').not.toBe(0);
  await docker('rm', '-f', 'other');
  await docker('volume', 'rm', 'bare');
  expect(await lab.must('h2', 'ls', '/var/lib/docker/volumes')).not.toContain('bare');
  const mine = 'echo mine > /data/mine; sleep 1000';
  await docker('run', '-d', '--name', 'next', '-v', 'bare:/data', 'busybox:lab', 'sh', '-c', mine);
  await lab.lab('restart-server');
  await comesTo('TARGET_REMOVED');
  await recover(sum);
  const left = await docker('exec', 'next', 'cat', '/data/mine');
  expect(left, 'what has the name now is nothing of the migration’s').toBe('mine');
  await docker('rm', '-fv', 'next');
  await docker('volume', 'rm', 'bare');

  await migrate();
  // Docker removes what is in the volume before it finds that something is mounted there.
  await lab.exec('h2', 'sh', '-c', 'docker rm -f bare && docker volume rm bare');
  await comesTo('TARGET_REMOVED');
  expect(await tracesOfHydration(lab, 'h2')).toBe('0');
  await lab.exec('h2', 'docker', 'volume', 'rm', 'bare');
  expect(await lab.must('h2', 'ls', '/var/lib/docker/volumes')).not.toContain('bare');
  await recover(sum);
});

test('a container whose protection is lost while data is missing is stopped, and stays so until somebody recovers it', async () => {
  const sum = await follower();
  const protection = '$(cat /sys/fs/cgroup/pids/hydrators/cgroup.procs)';

  // What a shutdown sends to all processes at once, before it has ended the last container.
  await lab.must('h2', 'sh', '-c', `kill -TERM ${protection}`);
  expect(await lab.must('h2', 'docker', 'exec', 'bare', 'sh', '-c', 'md5sum < /data/f')).toBe(sum);
  expect((await lab.status('bare')).phase).toBe('hydrating');

  const other = ['docker', 'run', '-d', '--restart', 'always', '--name', 'other', '-v', 'bare:/data', 'busybox:lab'];
  await lab.must('h2', ...other, 'sleep', '1000');

  await lab.must('h2', 'sh', '-c', `kill -9 ${protection}`);
  await comesTo('SUSPECT');
  for (const name of ['bare', 'other']) {
    expect(await lab.must('h2', 'docker', 'inspect', '-f', '{{.State.Running}}', name), name).toBe('false');
    expect((await lab.exec('h2', 'docker', 'start', name)).status, `nobody starts ${name}`).not.toBe(0);
  }
  await recover(sum);
  expect((await lab.exec('h2', 'sh', '-c', 'docker start $(docker ps -aq)')).status, 'the lost copy neither').not.toBe(
    0,
  );
});

test('a container whose protection is lost while it is starting is stopped, and waits for somebody as well', async () => {
  await lab.image('busybox', 'h1');
  const fill =
    'test -e /data/f || head -c 10000000 /dev/urandom > /data/f; touch /data/there; trap "exit 0" TERM; while :; do sleep 0.1; done';
  const health = ['--health-cmd', 'test -e /tmp/well', '--health-interval', '1s'];
  const run = ['docker', 'run', '-d', '--name', 'bare', '-v', 'bare:/data', ...health, 'busybox:lab', 'sh', '-c', fill];
  await lab.must('h1', ...run);
  const isThere = ['docker', 'exec', 'bare', 'sh', '-c', 'test -e /data/there && touch /tmp/well && md5sum < /data/f'];
  await expect.poll(async () => (await lab.exec('h1', ...isThere)).status).toBe(0);
  const sum = await lab.must('h1', ...isThere);
  const ended = lab.cargoctl('migrate', 'bare', '--to', 'h2', '--strategy', 'lazy', '--bwlimit', '100K', '--detach');
  expect(await ended).toMatchObject({ status: 0 });
  const isUp = async (): Promise<number> => (await lab.exec('h2', 'docker', 'exec', 'bare', 'true')).status;
  await expect.poll(isUp, { timeout: 60_000 }).toBe(0);
  expect((await lab.status('bare')).phase).toBe('switching');

  await lab.must('h2', 'sh', '-c', 'kill -9 $(cat /sys/fs/cgroup/pids/hydrators/cgroup.procs)');
  await comesTo('SUSPECT');
  expect(await lab.must('h2', 'docker', 'inspect', '-f', '{{.State.Running}}', 'bare')).toBe('false');
  expect((await lab.exec('h1', 'sh', '-c', 'docker start $(docker ps -aq)')).status, 'the source waits').not.toBe(0);
  await recover(sum);
});
