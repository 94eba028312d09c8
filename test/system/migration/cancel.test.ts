import { afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';

/** A few on a quiet machine, s; on a busy one cargoctl alone takes ten. Who waited for the target would take 45. */
const WITHIN_S = 30;

let lab: LabUnderTest;

beforeAll(async () => {
  lab = await LabUnderTest.open();
  await clear();
});

afterEach(async () => {
  await lab.lab('heal', 'h2');
  await clear();
});

/** The target has no image either, of whatever test: what a cancel must leave is nothing. */
async function clear(): Promise<void> {
  const all = 'docker ps -aq | xargs -r docker rm -f; docker volume prune -af; docker image prune -af';
  for (const host of ['h1', 'h2']) await lab.exec(host, 'sh', '-c', all);
  await lab.image('busybox', 'h1');
}

async function run(name: string, onTerm: string): Promise<string> {
  const work = `trap '${onTerm}; exit 0' TERM; while :; do sleep 0.1; done`;
  const options = ['--name', name, '--restart', 'always', '--stop-timeout', '60', '-v', `${name}:/data`];
  return lab.must('h1', 'docker', 'run', '-d', ...options, 'busybox:lab', 'sh', '-c', work);
}

async function startedAt(container: string): Promise<string> {
  return lab.must('h1', 'docker', 'inspect', '-f', '{{.State.Running}} {{.State.StartedAt}}', container);
}

async function reaches(container: string, phase: string, activity: RegExp): Promise<void> {
  const seen = expect.poll(() => lab.status(container), { timeout: 60_000, interval: 50 });
  await seen.toMatchObject({ phase, activity: expect.stringMatching(activity) });
}

/** Cancels; returns how many seconds later the source container, of the same id and name, runs again. */
async function cancelled(name: string, id: string): Promise<number> {
  const before = Date.now();
  const cancelling = lab.cargoctl('cancel', name);
  const runs = async (): Promise<string> =>
    (await lab.exec('h1', 'docker', 'ps', '--no-trunc', '--format', '{{.ID}} {{.Names}}')).stdout.trim();
  await expect.poll(runs, { timeout: 60_000, interval: 100 }).toBe(`${id} ${name}`);
  const seconds = (Date.now() - before) / 1000;
  expect(await cancelling).toMatchObject({ status: 0, stdout: expect.stringContaining('stays on h1') });
  expect(await lab.status(name)).toMatchObject({ phase: 'rolled-back', error: { code: 'CANCELLED' } });
  return seconds;
}

async function expectNothingAtTarget(): Promise<void> {
  const left = 'docker ps -aq; docker volume ls -q; docker images -q';
  await expect.poll(() => lab.must('h2', 'sh', '-c', left), { timeout: 60_000 }).toBe('');
}

test('while the container slowly stops: it runs again once it has stopped, and stays up', async () => {
  const id = await run('slow', 'until test -e /data/go; do sleep 0.1; done');
  const before = await startedAt('slow');
  await lab.cargoctl('migrate', 'slow', '--to', 'h2', '--strategy', 'precopy', '--detach');
  await reaches('slow', 'switching', /stopping/);
  const cancelling = lab.cargoctl('cancel', 'slow');
  await reaches('slow', 'switching', /rolling back|waiting/);
  await lab.must('h1', 'sh', '-c', 'touch /var/lib/docker/volumes/slow/_data/go');
  await expect.poll(() => startedAt('slow'), { timeout: 60_000 }).not.toBe(before);
  expect(await cancelling).toMatchObject({ status: 0 });
  expect(await startedAt('slow')).toMatch(/^true /);
  expect(await lab.must('h1', 'docker', 'inspect', '-f', '{{.Id}} {{.HostConfig.RestartPolicy.Name}}', 'slow')).toBe(
    `${id} always`,
  );
  await expectNothingAtTarget();
});

test('in a long final round, with the target cut off: the source does not wait for it, and it is cleared later', async () => {
  const id = await run('late', 'head -c 60000000 /dev/urandom > /data/late');
  const begun = await lab.cargoctl(
    'migrate',
    'late',
    '--to',
    'h2',
    '--strategy',
    'precopy',
    '--bwlimit',
    '2M',
    '--detach',
  );
  expect(begun, begun.stderr).toMatchObject({ status: 0 });
  await reaches('late', 'switching', /copying the last changes/);
  await lab.lab('cut', 'h2');
  const seconds = await cancelled('late', id);
  expect(seconds, `source runs again after ${seconds} s`).toBeLessThan(WITHIN_S);
  await lab.lab('heal', 'h2');
  await expectNothingAtTarget();
});

test('while the image is loaded: the source was never touched, and nothing of the image stays at the target', async () => {
  const fill = 'head -c 300000000 /dev/zero > /big';
  await lab.must(
    'h1',
    'sh',
    '-c',
    `docker run --name big busybox:lab sh -c '${fill}' && docker commit big big:lab && docker rm big`,
  );
  await lab.must('h1', 'docker', 'run', '-d', '--name', 'early', '--stop-signal', 'KILL', 'big:lab', 'sleep', '100000');
  const before = await startedAt('early');
  await lab.cargoctl('migrate', 'early', '--to', 'h2', '--strategy', 'precopy', '--detach');
  await reaches('early', 'staging', /.*/);
  const began = Date.now();
  expect(await lab.cargoctl('cancel', 'early')).toMatchObject({ status: 0 });
  expect(Date.now() - began).toBeLessThan(WITHIN_S * 1000);
  expect(await lab.status('early')).toMatchObject({ phase: 'rolled-back', targetContainerId: null });
  expect(await startedAt('early')).toBe(before);
  await expectNothingAtTarget();
});
