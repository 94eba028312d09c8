import { afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';

let lab: LabUnderTest;
let writers = 0;

beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('busybox', 'h1');
});

afterEach(async () => {
  for (const host of ['h1', 'h2']) {
    await lab.lab('boot', host);
    await lab.exec(host, 'sh', '-c', 'docker ps -aq | xargs -r docker rm -f; docker volume prune -af');
  }
});

/** A container that Docker starts whenever it can, and that is healthy while it may be. Each test has one of its own. */
async function writer(): Promise<string> {
  writers += 1;
  const name = `writer${writers}`;
  const health = ['--health-cmd', 'test -e /data/well', '--health-interval', '200ms', '--health-start-period', '300s'];
  const run = ['docker', 'run', '-d', '--name', name, '--restart', 'always', '--stop-signal', 'KILL', ...health];
  const work = 'while :; do date +%s >> /data/log; sleep 0.1; done';
  await lab.must('h1', ...run, '-v', `${name}:/data`, 'busybox:lab', 'sh', '-c', work);
  await lab.must('h1', 'docker', 'exec', name, 'sh', '-c', 'echo precious > /data/before; touch /data/well');
  return name;
}

async function runs(host: string): Promise<string> {
  return (await lab.exec(host, 'docker', 'ps', '--format', '{{.Names}}')).stdout.trim();
}

/** Every container that was started on the host since its Docker daemon was. */
async function startedSinceBoot(host: string): Promise<string> {
  const now = await lab.must(host, 'date', '+%s');
  return lab.must(host, 'docker', 'events', '--since', '0', '--until', now, '--filter', 'event=start');
}

async function expectFencedAfterBoot(name: string): Promise<void> {
  await lab.lab('boot', 'h2');
  await expect.poll(async () => (await lab.status(name)).recovery, { timeout: 30_000 }).toMatchObject({ fenced: true });
  const keptAs = (await lab.status(name)).recovery?.keptAs ?? '';
  expect(keptAs).toMatch(new RegExp(`^${name}-lost-[0-9a-f]{12}$`));
  for (const reference of [name, keptAs]) {
    expect((await lab.exec('h2', 'docker', 'start', reference)).status, `docker start ${reference}`).not.toBe(0);
  }
  expect(await startedSinceBoot('h2'), 'what the lost host started after its boot').toBe('');
  expect(await runs('h1')).toBe(name);
}

test('a target lost for good in the window of its start: the source goes on, and the target never runs again', async () => {
  const name = await writer();
  await lab.must('h1', 'docker', 'exec', name, 'rm', '/data/well');
  await lab.cargoctl('migrate', name, '--to', 'h2', '--strategy', 'precopy', '--detach');
  await expect.poll(() => runs('h2'), { timeout: 30_000, interval: 100 }).toBe(name);
  expect(await lab.cargoctl('cancel', name), 'a cancel comes too late').toMatchObject({ status: 4 });
  await lab.lab('kill', 'h2');

  const asked = await lab.cargoctl('recover', name, '--at', 'source');
  expect(asked).toMatchObject({ status: 4, stderr: expect.stringContaining('Lost would be: what writer') });
  expect(await lab.status(name), 'nothing was changed').toMatchObject({ phase: 'switching', recovery: null });
  expect(await lab.cargoctl('recover', name, '--at', 'target', '--accept-loss')).toMatchObject({ status: 4 });

  const recovered = await lab.cargoctl('recover', name, '--at', 'source', '--accept-loss');
  expect(recovered, recovered.stderr).toMatchObject({ status: 0 });
  expect(await lab.status(name)).toMatchObject({
    phase: 'recovered',
    recovery: { at: 'source', lost: 'h2', fenced: false },
  });
  expect(await lab.must('h1', 'docker', 'exec', name, 'cat', '/data/before')).toBe('precious');
  await expectFencedAfterBoot(name);
});

test('a target lost for good after its start: its container is held at boot, whatever its restart policy', async () => {
  const name = await writer();
  const moved = await lab.cargoctl('migrate', name, '--to', 'h2', '--strategy', 'precopy');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  await lab.must('h2', 'sync');

  await lab.lab('kill', 'h2');
  await lab.lab('boot', 'h2');
  await expect.poll(() => runs('h2'), { timeout: 30_000 }).toBe(name);
  expect(await lab.must('h2', 'docker', 'inspect', '-f', '{{.HostConfig.RestartPolicy.Name}}', name)).toBe('always');

  await lab.lab('kill', 'h2');
  const recovered = await lab.cargoctl('recover', name, '--at', 'source', '--accept-loss', '--yes');
  expect(recovered, recovered.stderr).toMatchObject({ status: 0 });
  expect(await runs('h1')).toBe(name);
  await lab.lab('kill-server');
  await lab.lab('boot', 'h2');
  expect(await startedSinceBoot('h2'), 'without the server').toBe('');
  await lab.lab('restart-server');
  await expectFencedAfterBoot(name);
});

test('a source lost for good: the target completes without it, and the source learns it when it comes back', async () => {
  const name = await writer();
  const moved = await lab.cargoctl('migrate', name, '--to', 'h2', '--strategy', 'precopy');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  await lab.lab('kill', 'h1');
  const recovered = await lab.cargoctl('recover', name, '--at', 'target', '--accept-loss');
  expect(recovered, recovered.stderr).toMatchObject({ status: 0 });
  expect(await runs('h2')).toBe(name);
  expect(await lab.cargoctl('failover', name)).toMatchObject({ status: 4 });

  await lab.lab('boot', 'h1');
  await expect.poll(async () => (await lab.status(name)).recovery, { timeout: 30_000 }).toMatchObject({ fenced: true });
  expect(await startedSinceBoot('h1')).toBe('');
  const { movedAs } = await lab.status(name);
  for (const reference of [name, movedAs ?? '']) {
    expect((await lab.exec('h1', 'docker', 'start', reference)).status, `docker start ${reference}`).not.toBe(0);
  }
  expect(await lab.must('h2', 'docker', 'exec', name, 'cat', '/data/before')).toBe('precious');
});
