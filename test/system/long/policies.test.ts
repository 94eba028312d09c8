import { afterAll, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';
import { tracesOfHydration } from '../migration/traces.ts';
import { Follower } from './follower.ts';

let lab: LabUnderTest;
beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('busybox', 'h1', 'h2');
});
afterAll(() => lab.sweep(['h1', 'h2']));

const files = ['f1', 'f2', 'f3', 'f4', 'f5', 'f6'];
/** Reads a piece of a file that may not be there yet at each start, and ends as it is told. */
const work =
  'tail -c 300000 f6 | md5sum >> pieces; trap "exit 0" TERM; while :; do test -e /data/fail && exit 3; test -e /data/end && exit 0; sleep 0.1; done';
const policies = ['no', 'always', 'unless-stopped', 'on-failure:3', 'on-failure'];
const STATE = '{{.State.Running}} {{.RestartCount}}';

async function killed(one: Follower): Promise<void> {
  await lab.must('h2', 'kill', '-9', await one.inspect('h2', '{{.State.Pid}}'));
}

/** Nanoseconds between the starts that Docker made of a container, the first being somebody's own. */
async function gaps(one: Follower, since: string): Promise<number[]> {
  const until = await lab.must('h2', 'date', '+%s.%N');
  const asked = ['docker', 'events', '--since', since, '--until', until, '--format', '{{.Action}} {{.TimeNano}}'];
  const lines = (await lab.must('h2', ...asked, '--filter', `container=${one.name}`)).split('\n');
  const events = lines.map((line) => line.split(' ')).map(([action, at]) => ({ action, at: Number(at) }));
  return events.flatMap(({ action, at }, index) => {
    const died = events.slice(0, index).findLast((event) => event.action === 'die');
    return action === 'start' && died !== undefined ? [at - died.at] : [];
  });
}

test('while data follows Docker restarts a container by its own policy, as it does any other', async () => {
  const all = await Promise.all(
    policies.map((policy, index) =>
      Follower.start(lab, { name: `policy${index}`, from: 'h1', docker: ['--restart', policy], files, work }),
    ),
  );
  const [never, always, unless, limited, onFailure] = all;
  if (!never || !always || !unless || !limited || !onFailure) throw new Error('five were started');
  for (const one of all) await one.migrate('h2', '10K');

  await Promise.all(all.map(killed));
  for (const one of [always, unless, limited, onFailure]) {
    await expect.poll(() => one.inspect('h2', STATE)).toBe('true 1');
  }
  expect(await never.inspect('h2', STATE)).toBe('false 0');

  // Back-off: 100 ms before the first, twice as long before each further one (daemon container/restartmanager).
  await lab.must('h2', 'docker', 'restart', '-t', '0', limited.name);
  const since = await lab.must('h2', 'date', '+%s.%N');
  await limited.must('h2', 'touch fail');
  await expect.poll(() => limited.inspect('h2', STATE)).toBe('false 3');
  const waited = (await gaps(limited, since)).map((ns) => ns / 1e6);
  expect(waited).toHaveLength(3);
  for (const [index, ms] of waited.entries()) expect(ms).toBeGreaterThan(95 * 2 ** index);
  await onFailure.must('h2', 'touch end');
  await expect.poll(() => onFailure.isRunning('h2'), { message: 'it ended well' }).toBe(false);

  for (const one of [always, unless]) {
    await lab.must('h2', 'docker', 'stop', one.name);
    expect(await one.inspect('h2', '{{.State.Status}}')).toBe('exited');
  }
  await lab.lab('restart-docker', 'h2');
  await expect.poll(() => always.isRunning('h2'), { message: 'Docker starts it again' }).toBe(true);
  for (const one of [never, unless, limited, onFailure]) expect(await one.isRunning('h2'), one.name).toBe(false);

  const phases = await Promise.all(all.map((one) => one.phase()));
  expect(phases, 'data was missing all the time').toEqual(all.map(() => 'hydrating'));
  await Promise.all(all.map((one) => one.arrives('h2')));
  expect(await tracesOfHydration(lab, 'h2')).toBe('0');
  const kept = '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}';
  expect(await Promise.all(all.map((one) => one.inspect('h2', kept)))).toEqual([
    ...['no:0', 'always:0', 'unless-stopped:0', 'on-failure:3', 'on-failure:0'],
  ]);
  for (const one of all) {
    const read = ['docker', 'run', '--rm', '-v', `${one.name}:/data`, 'busybox:lab', 'cat', '/data/pieces'];
    const pieces = new Set((await lab.must('h2', ...read)).split('\n'));
    expect(pieces.size, `every start of ${one.name} read the same`).toBe(1);
  }
});
