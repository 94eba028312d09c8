import { afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';
import { Database } from './database-under-load.ts';

let lab: LabUnderTest;

beforeAll(async () => {
  lab = await LabUnderTest.open();
});

afterEach(() => lab.sweep(['h1', 'h2']));

async function reaches(container: string, phase: string): Promise<void> {
  const poll = { timeout: 120_000, interval: 100 };
  await expect.poll(async () => (await lab.status(container)).phase, poll).toBe(phase);
}

/** What the engine needs while data follows: the mount over the volume, and processes. */
async function traces(host: string): Promise<string> {
  const look =
    'grep -c cargo-lazy /proc/self/mountinfo; ls -A /run/cargo-lazy; cat /sys/fs/cgroup/pids/hydrators/cgroup.procs';
  return (await lab.exec(host, 'sh', '-c', `{ ${look}; } 2>/dev/null`)).stdout.trim();
}

test('a MariaDB runs at the target before its data is there; agents may be killed, and no acknowledged row is lost', async () => {
  await using database = await Database.start(lab, 'follower', 3320);
  await using load = await database.load('h1');
  const moved = await lab.cargoctl('migrate', 'follower', '--to', 'h2', '--strategy', 'lazy', '--bwlimit', '50K');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  const paused = await lab.cargoctl('pause', 'follower');
  expect(paused, paused.stderr).toMatchObject({ status: 0 });
  expect(await lab.status('follower')).toMatchObject({ phase: 'hydrating', strategy: 'lazy', paused: true });
  await load.writesOn('h2');
  const early = await lab.cargoctl('failover', 'follower');
  expect(early, 'nothing lets go of a source that has data alone').toMatchObject({ status: 4 });
  expect(early.stderr).toMatch(/\d+ bytes of follower in \d+ files are still on h1 alone/);

  await lab.lab('kill-agent', 'h2');
  await lab.lab('restart-agent', 'h2');
  await lab.lab('kill-agent', 'h1');
  await lab.lab('restart-agent', 'h1');
  await load.writesOn('h2');
  for (const change of [
    ['set', 'follower', '--bwlimit', 'none'],
    ['resume', 'follower'],
  ]) {
    const made = await lab.cargoctl(...change);
    expect(made, made.stderr).toMatchObject({ status: 0 });
  }
  await reaches('follower', 'copied');
  await load.expectWholeOn('h2');
  expect(await traces('h2'), 'nothing of the engine is left').toBe('0');
  const failover = await lab.cargoctl('failover', 'follower', '--cleanup');
  expect(failover, failover.stderr).toMatchObject({ status: 0 });
});

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
  expect(await traces('h2')).toBe('0');
});

test('a container whose protection is lost while data is missing is stopped, and stays so until somebody recovers it', async () => {
  await lab.image('busybox', 'h1');
  const run =
    'test -e /data/f || head -c 20000000 /dev/urandom > /data/f; trap "exit 0" TERM; while :; do sleep 0.1; done';
  await lab.must(
    'h1',
    ...['docker', 'run', '-d', '--restart', 'always', '--name', 'bare', '-v', 'bare:/data'],
    'busybox:lab',
    'sh',
    '-c',
    run,
  );
  await expect
    .poll(async () => (await lab.exec('h1', 'docker', 'exec', 'bare', 'test', '-e', '/data/f')).status)
    .toBe(0);
  const sum = await lab.must('h1', 'docker', 'exec', 'bare', 'md5sum', '/data/f');
  const moved = await lab.cargoctl('migrate', 'bare', '--to', 'h2', '--strategy', 'lazy', '--bwlimit', '100K');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });

  await lab.must('h2', 'sh', '-c', 'kill -9 $(cat /sys/fs/cgroup/pids/hydrators/cgroup.procs)');
  const poll = { timeout: 60_000, interval: 100 };
  await expect.poll(async () => (await lab.status('bare')).error?.code, poll).toBe('SUSPECT');
  expect(await lab.must('h2', 'docker', 'inspect', '-f', '{{.State.Running}}', 'bare')).toBe('false');
  expect((await lab.exec('h2', 'docker', 'start', 'bare')).status, 'nobody starts it').not.toBe(0);
  const recovered = await lab.cargoctl('recover', 'bare', '--at', 'source', '--accept-loss');
  expect(recovered, recovered.stderr).toMatchObject({ status: 0 });
  expect(await lab.must('h1', 'docker', 'exec', 'bare', 'md5sum', '/data/f')).toBe(sum);
  expect((await lab.exec('h2', 'sh', '-c', 'docker start $(docker ps -aq)')).status, 'the lost copy neither').not.toBe(
    0,
  );
});
