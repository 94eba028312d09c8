import { afterEach, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';

let lab: LabUnderTest;

beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('busybox', 'h1', 'h2');
});

afterEach(async () => {
  for (const host of ['h1', 'h2', 'h3']) {
    await lab.exec(
      host,
      'sh',
      '-c',
      'docker ps -aq | xargs -r docker rm -f; docker volume prune -af; rm -rf /srv/place',
    );
  }
});

async function runWith(host: string, name: string, mount: string, content: string): Promise<void> {
  const run = ['docker', 'run', '-d', '--stop-signal', 'KILL', '--name', name, '-v', `${mount}:/data`, 'busybox:lab'];
  await lab.must(host, ...run, 'sh', '-c', `test -e /data/mine || echo ${content} > /data/mine; exec sleep 100000`);
  await expect.poll(() => lab.exec(host, 'docker', 'exec', name, 'cat', '/data/mine')).toMatchObject({ status: 0 });
}

test.each(['/srv/place', 'place'])(
  'of two containers that arrive at once with %s, one gets it and the other stays',
  async (place) => {
    await runWith('h1', 'first', place, 'first');
    await runWith('h2', 'second', place, 'second');
    const moves = await Promise.all(['first', 'second'].map((name) => lab.cargoctl('migrate', name, '--to', 'h3')));
    const arrived = await lab.must('h3', 'docker', 'ps', '--format', '{{.Names}}');
    expect(['first', 'second']).toContain(arrived);
    expect(
      moves.filter(({ status }) => status === 0),
      'one move succeeds',
    ).toHaveLength(1);
    expect(await lab.must('h3', 'docker', 'exec', arrived, 'cat', '/data/mine')).toBe(arrived);
    const [stays, host] = arrived === 'first' ? ['second', 'h2'] : ['first', 'h1'];
    expect(await lab.must(host, 'docker', 'exec', stays, 'cat', '/data/mine')).toBe(stays);
  },
);

test('a bind path that Cargo left, and that another container uses by now, is not written to', async () => {
  await runWith('h1', 'settler', '/srv/place', 'settler');
  expect(await lab.cargoctl('migrate', 'settler', '--to', 'h2', '--wait')).toMatchObject({ status: 0 });
  expect(await lab.cargoctl('failover', 'settler')).toMatchObject({ status: 0 });
  await lab.must('h1', 'sh', '-c', 'echo newcomer > /srv/place/mine');
  await runWith('h1', 'newcomer', '/srv/place', 'unused');
  const back = await lab.cargoctl('migrate', 'settler', '--to', 'h1');
  expect(back, back.stderr).toMatchObject({ status: 5, stderr: expect.stringContaining('newcomer') });
  expect(await lab.must('h1', 'docker', 'exec', 'newcomer', 'cat', '/data/mine')).toBe('newcomer');
  expect(await lab.must('h2', 'docker', 'exec', 'settler', 'cat', '/data/mine')).toBe('settler');
});
