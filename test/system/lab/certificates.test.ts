import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentProcess, callServer, findHost, type Lab, loadLab } from '../../../lab/index.ts';
import { Host } from '../../../src/api/host.ts';
import { LabUnderTest } from '../lab.ts';
import { must } from './cargo-lab.ts';

const name = `certificates-${process.pid}`;
const LIFE_S = 12;
const MB = 1_000_000;
/** From the order to remove a host until nothing of a migration goes there any more; most of it starts cargoctl. */
const CUT_OFF_S = 30;

let lab: LabUnderTest;
let state: Lab;

beforeAll(async () => {
  await must(['up', '--hosts', '2', '--disk', '2G', '--certificate-life', `${LIFE_S}s`, '--name', name]);
  lab = await LabUnderTest.open(name);
  state = loadLab(name);
  await lab.image('busybox', 'h1', 'h2');
});

afterAll(async () => {
  await must(['down', '--name', name]);
});

async function begin(container: string, bytes: number): Promise<void> {
  const fill = `test -e /data/filled || head -c ${bytes} /dev/urandom >/data/blob; touch /data/filled; exec sleep 100000`;
  const options = ['-d', '--stop-signal', 'KILL', '--name', container, '-v', `${container}:/data`];
  await lab.must('h1', 'docker', 'run', ...options, 'busybox:lab', 'sh', '-c', fill);
  const filled = async (): Promise<number> =>
    (await lab.exec('h1', 'docker', 'exec', container, 'ls', '/data/filled')).status;
  await expect.poll(filled, { interval: 50 }).toBe(0);
  const begun = await lab.cargoctl(
    'migrate',
    container,
    '--to',
    'h2',
    '--bwlimit',
    '2M',
    '--strategy',
    'precopy',
    '--detach',
  );
  expect(begun, begun.stderr).toMatchObject({ status: 0 });
  await arrived(container, MB);
}

async function arrived(container: string, bytes: number): Promise<void> {
  const local = async (): Promise<number> => (await lab.status(container)).bytes.local;
  await expect.poll(local, { timeout: 60_000, interval: 50 }).toBeGreaterThan(bytes);
}

/** When the certificate that each host shows ends, ms since 1970. */
async function ends(): Promise<number[]> {
  const hosts = await Promise.all(['h1', 'h2'].map((host) => callServer(state, 'GET', `/v1/hosts/${host}`)));
  return hosts.map((host) => Date.parse(Host.parse(host).certificateEndsAt ?? ''));
}

const log = (host: string): Promise<string> => lab.must(host, 'cat', '/var/log/cargo-agent.log');

test('certificates of both hosts are renewed and the old ones run out in the middle of a transfer, which goes on', async () => {
  const agents = ['h1', 'h2'].map((host) => agentProcess(state, findHost(state, host)));
  await begin('lasting', (LIFE_S + 10) * 2 * MB);
  const old = await ends();
  const areAllOver = async (): Promise<boolean> =>
    (await ends()).every((end, index) => end > (old[index] ?? 0)) && old.every((end) => end < Date.now());
  await expect.poll(areAllOver, { timeout: (LIFE_S + 10) * 1_000, interval: 100 }).toBe(true);
  expect(await lab.status('lasting'), 'the first round is under way').toMatchObject({ phase: 'staging', rounds: [] });

  await expect.poll(async () => (await lab.status('lasting')).phase, { timeout: 60_000, interval: 100 }).toBe('copied');
  expect(agents, 'the agents are those of the beginning').toEqual(
    ['h1', 'h2'].map((host) => agentProcess(state, findHost(state, host))),
  );
  expect(await log('h2')).not.toContain('copying will be tried again');
  const whole = 'docker exec lasting md5sum /data/blob || md5sum /var/lib/docker/volumes/lasting/_data.*/blob';
  const [atSource, atTarget] = await Promise.all(['h1', 'h2'].map((host) => lab.must(host, 'sh', '-c', whole)));
  expect(atTarget?.slice(0, 32)).toBe(atSource?.slice(0, 32));
  expect(await lab.cargoctl('failover', 'lasting', '--cleanup')).toMatchObject({ status: 0 });
});

/** Connections from the target's agent that the source's kernel still has anything for. */
async function connections(): Promise<string> {
  const target = findHost(state, 'h2').address;
  return lab.must('h1', 'ss', '-tnH', `dst ${target} and sport = :5005`);
}
async function sent(): Promise<number> {
  return Number(await lab.must('h1', 'cat', '/sys/class/net/eth0/statistics/tx_bytes'));
}

test('a target that is removed in the middle of a transfer is cut off, however it holds on, and the source runs as before', async () => {
  await begin('wanted', 60 * MB);
  const before = await lab.must('h1', 'docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', 'wanted');
  const agent = agentProcess(state, findHost(state, 'h2'));
  if (agent === undefined) throw new Error('h2 has no agent');
  // An agent in wrong hands closes nothing by itself.
  process.kill(agent, 'SIGSTOP');
  let sentThen: number;
  try {
    expect(await connections(), 'control: it holds on').not.toBe('');
    expect((await lab.cargoctl('hosts', 'rm', 'h2')).stderr, 'without force').toContain('--force');
    const began = Date.now();
    const removal = lab.cargoctl('hosts', 'rm', 'h2', '--force');
    await expect.poll(connections, { timeout: CUT_OFF_S * 1_000, interval: 50 }).toBe('');
    console.log(`cut off after ${Date.now() - began} ms`);
    sentThen = await sent();
    expect(await removal).toMatchObject({ status: 0 });
  } finally {
    process.kill(agent, 'SIGCONT');
  }
  const error = { code: 'HOST_REMOVED', message: 'host h2 was removed from Cargo while wanted was moving' };
  expect(await lab.status('wanted')).toMatchObject({ phase: 'rolled-back', error });
  expect(await lab.must('h1', 'docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', 'wanted')).toBe(before);
  expect(await lab.must('h1', 'docker', 'inspect', '-f', '{{.State.Running}}', 'wanted')).toBe('true');
  // It has noticed, and may have asked again before it was told to undo what it has: in vain.
  const refused = /"mount":"wanted".*(can't be reached|was removed|was lost during the transfer)/;
  await expect.poll(() => log('h2'), { timeout: 30_000 }).toMatch(refused);
  expect((await sent()) - sentThen, 'bytes that left the source since').toBeLessThan(MB);
  expect(await lab.must('h2', 'docker', 'ps', '-q', '--filter', 'name=wanted')).toBe('');
});
