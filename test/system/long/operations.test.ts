import { afterAll, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';
import { tracesOfHydration } from '../migration/traces.ts';
import { Follower } from './follower.ts';

let lab: LabUnderTest;
beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('busybox', 'h1', 'h2');
});
afterAll(async () => {
  for (const host of ['h1', 'h2']) await lab.lab('boot', host);
  await lab.sweep(['h1', 'h2'], 'rm -rf /etc/docker/daemon.json /root/next');
  await lab.lab('restart-docker', 'h2');
});

const numbers = Array.from({ length: 16 }, (_, index) => index + 1);
/** At its end it reads a file that nobody has touched: the number of its start says which. */
const work =
  'n=$(wc -l < starts); trap "md5sum e$n >> ends; sync; exit 0" TERM; test $n = 1 && trap "exit 0" TERM; while :; do sleep 0.1; done';
const GROUP = '/sys/fs/cgroup/pids/hydrators/cgroup.procs';

async function atLab(...args: string[]): Promise<void> {
  const ran = await lab.lab(...args);
  expect(ran, ran.stderr).toMatchObject({ status: 0 });
}

async function killHydrator(): Promise<void> {
  const script = `for p in $(cat ${GROUP}); do grep -q hydrate.ts /proc/$p/cmdline && kill -9 $p; done; true`;
  await lab.must('h2', 'sh', '-c', script);
}

const NEXT_VERSION = '9.8.7';

/** Another release stands where this one stood, as after `tar x`; what runs goes on with what it has loaded. */
async function upgrade(host: string): Promise<void> {
  const script = `mkdir -p /root/next/node_modules && cd /opt/cargo &&
    for name in *; do test $name = node_modules || cp -a $name /root/next; done &&
    sed -i 's/"version": "[^"]*"/"version": "${NEXT_VERSION}"/' /root/next/package.json &&
    mount --bind node_modules /root/next/node_modules && cd / && mount --rbind /root/next /opt/cargo`;
  await lab.must(host, 'sh', '-c', script);
}

/** systemd ends the agent's and Docker's services, Docker ends its containers; then all that is left gets SIGTERM, later SIGKILL. */
async function shutsDown(host: string): Promise<void> {
  await atLab('kill-agent', host, '--signal', 'SIGTERM');
  const docker = 'pid=$(cat /run/docker.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.05; done';
  await lab.must(host, 'sh', '-c', `kill -TERM $(cat ${GROUP}); ${docker}; kill -TERM $(cat ${GROUP}); sync`);
  await atLab('kill', host);
}

test('restarts, kills, reboots and power cuts while data follows: the container is up after each, and has every byte', {
  timeout: 600_000,
}, async () => {
  const one = await Follower.start(lab, {
    ...{ name: 'routine', from: 'h1', docker: ['--restart', 'unless-stopped'], work },
    files: [...numbers.map((n) => `f${n}`), ...numbers.map((n) => `e${n}`)],
  });
  await one.migrate('h2', '10K');
  let next = 0;
  /** It is up, a file that nobody has touched is right, and something is still missing. */
  const isWell = async (after: string): Promise<void> => {
    await expect.poll(() => one.isRunning('h2'), { message: `up after: ${after}` }).toBe(true);
    next += 1;
    await one.reads('h2', `f${next}`);
    expect(await one.phase(), after).toBe('hydrating');
  };
  const began = (): Promise<string> => one.inspect('h2', '{{.State.StartedAt}}');
  const untouched = async (what: string, act: () => Promise<void>): Promise<void> => {
    const before = await began();
    await act();
    await isWell(what);
    expect(await began(), `not started anew: ${what}`).toBe(before);
  };

  await untouched('systemctl restart of the agent', () => atLab('restart-agent', 'h2'));
  await untouched('systemctl restart of the agent at the source', () => atLab('restart-agent', 'h1'));
  await untouched('an OOM kill of the agent', async () => {
    await atLab('kill-agent', 'h2');
    await one.reads('h2', 'e15');
    await atLab('restart-agent', 'h2');
  });
  await untouched('an OOM kill of the hydrator', killHydrator);
  await untouched('an OOM kill of the hydrator while there is no agent', async () => {
    await atLab('kill-agent', 'h2');
    await killHydrator();
    await atLab('restart-agent', 'h2');
  });
  await untouched(
    'an OOM kill of the hydrator while there is no server, and the agent has been started again',
    async () => {
      await atLab('kill-server');
      await atLab('restart-agent', 'h2');
      await killHydrator();
      await one.reads('h2', 'e14');
      await atLab('restart-server');
    },
  );
  await untouched('an upgrade of the agent, in its place', async () => {
    await upgrade('h2');
    await atLab('restart-agent', 'h2');
    expect((await lab.host('h2')).version).toBe(NEXT_VERSION);
  });
  await untouched('the end of the hydrator of before the upgrade', killHydrator);
  await atLab('restart-docker', 'h2');
  await isWell('a restart of the daemon');

  await lab.must(
    'h2',
    'sh',
    '-c',
    `mkdir -p /etc/docker; echo '{"live-restore": true}' > /etc/docker/daemon.json; sync`,
  );
  await atLab('restart-docker', 'h2');
  await untouched('a restart of the daemon with live-restore', () => atLab('restart-docker', 'h2'));
  await untouched('a kill of the daemon with live-restore', async () => {
    await atLab('kill-docker', 'h2');
    await atLab('restart-docker', 'h2');
  });
  await untouched('a power cut of the source', async () => {
    await atLab('kill', 'h1');
    const waits = one.reads('h2', 'e16');
    await atLab('boot', 'h1');
    await waits;
  });
  // A daemon that is started without live-restore ends what it finds running, and does not start it again (Docker 26.1).
  const off = `echo '{"live-restore": false}' > /etc/docker/daemon.json; kill -HUP $(cat /run/docker.pid)`;
  await lab.must('h2', 'sh', '-c', off);
  const restores = (): Promise<string> => lab.must('h2', 'docker', 'info', '-f', '{{.LiveRestoreEnabled}}');
  await expect.poll(restores).toBe('false');
  await shutsDown('h2');
  await atLab('boot', 'h2');
  await isWell('a reboot of the target');
  await atLab('kill', 'h2');
  await atLab('boot', 'h2');
  await isWell('a power cut of the target');

  await one.arrives('h2');
  const ends = (await one.must('h2', 'cat ends')).split('\n');
  const sums = (await one.must('h2', 'cat sums')).split('\n');
  expect(ends.length, 'it was stopped at each restart of the daemon, and by the reboot').toBeGreaterThanOrEqual(3);
  for (const line of ends) expect(sums, 'what it read at its end is what was there').toContain(line);
  expect(await tracesOfHydration(lab, 'h2')).toBe('0');
});

test('a target that is given up while data follows ends whoever reads that data there', async () => {
  const one = await Follower.start(lab, { name: 'given', from: 'h1', files: ['f1', 'f2', 'f3', 'f4'] });
  await one.migrate('h2', '10K');
  const other = ['docker', 'run', '-d', '--restart', 'always', '--name', 'other', '-v', 'given:/data', 'busybox:lab'];
  await lab.must('h2', ...other, 'sleep', '1000');
  await one.ctl('recover', 'given', '--at', 'source', '--accept-loss');
  await expect.poll(async () => (await lab.status('given')).recovery).toMatchObject({ fenced: true });
  expect(
    await lab.must('h2', 'docker', 'ps', '-q', '--filter', 'volume=given'),
    'nothing runs that might read zeros',
  ).toBe('');
  await one.isWhole('h1');
});

test('a container that is removed with its volume before the agent of a rebooted target has protected it: that is said', async () => {
  const one = await Follower.start(lab, { name: 'gone', from: 'h1', files: ['f1', 'f2', 'f3', 'f4'] });
  await one.migrate('h2', '10K');
  await atLab('kill', 'h2');
  await atLab('kill-server');
  await atLab('boot', 'h2');
  await lab.must('h2', 'sh', '-c', 'docker rm -f gone && docker volume rm gone');
  await atLab('restart-server');
  await expect.poll(async () => (await lab.status('gone')).error?.code, { timeout: 60_000 }).toBe('TARGET_REMOVED');
  expect(await lab.must('h2', 'ls', '/var/lib/docker/volumes')).not.toContain('gone');
  await one.ctl('recover', 'gone', '--at', 'source', '--accept-loss');
  await one.isWhole('h1');
});
