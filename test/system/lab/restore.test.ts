import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { FaultPoint } from '../../../src/faults/points.ts';
import { LabUnderTest } from '../lab.ts';
import { must, shell } from './cargo-lab.ts';

const name = `restored-${process.pid}`;
const cargoServer = join(import.meta.dirname, '../../../bin/cargo-server');

let lab: LabUnderTest;
let folder: string;
let dataDir: string;
let points: string;

beforeAll(async () => {
  await must(['up', '--hosts', '2', '--disk', '2G', '--fault-points', '--name', name]);
  for (const host of ['h1', 'h2']) await must(['image', 'busybox', '--host', host, '--name', name]);
  lab = await LabUnderTest.open(name);
  dataDir = dirname(lab.ca);
  folder = dirname(dataDir);
  points = join(folder, 'fault-points');
  mkdirSync(points, { recursive: true });
});

afterEach(async () => {
  for (const host of ['h1', 'h2']) {
    await shell(name, host, 'docker ps -aq | xargs -r docker rm -f; docker volume ls -q | xargs -r docker volume rm');
  }
});

afterAll(async () => {
  await must(['down', '--name', name]);
});

/** Makes a container that counts up in its volume, beside 3 MB of data. */
async function run(container: string): Promise<void> {
  const count = 'i=0; while true; do i=$((i+1)); echo $i >>/data/count; sleep 0.05; done';
  const options = ['-d', '--stop-signal', 'KILL', '--name', container, '-v', `${container}:/data`, 'busybox:lab'];
  await lab.must(
    'h1',
    'docker',
    'run',
    ...options,
    'sh',
    '-c',
    `test -e /data/count || head -c 3000000 /dev/urandom >/data/blob; ${count}`,
  );
  await expect
    .poll(() => lab.exec('h1', 'docker', 'exec', container, 'test', '-e', '/data/count'))
    .toMatchObject({ status: 0 });
}

/** A host that is slow to list its containers is asked again: nothing has begun then. */
async function begin(container: string): Promise<void> {
  const migrate = () => lab.cargoctl('migrate', container, '--to', 'h2', '--strategy', 'precopy', '--detach');
  await expect.poll(migrate, { timeout: 30_000, interval: 500 }).toMatchObject({ status: 0 });
}

const blob = (host: string, container: string): Promise<string> =>
  lab.must(host, 'docker', 'exec', container, 'sha256sum', '/data/blob');

async function runners(container: string): Promise<string[]> {
  const hosts = ['h1', 'h2'];
  const running = await Promise.all(
    hosts.map((host) => lab.must(host, 'docker', 'ps', '-q', '--filter', `volume=${container}`)),
  );
  return hosts.filter((_, index) => running[index] !== '');
}

function hold(point: FaultPoint): void {
  writeFileSync(join(points, `${point}.hold`), '');
}

async function isHeld(point: FaultPoint): Promise<void> {
  await expect.poll(() => existsSync(join(points, `${point}.held`)), { timeout: 60_000, interval: 20 }).toBe(true);
}

function letGo(point: FaultPoint): void {
  rmSync(join(points, `${point}.held`), { force: true });
  rmSync(join(points, `${point}.hold`), { force: true });
}

function backup(file: string): void {
  execFileSync(cargoServer, ['backup', '--data-dir', dataDir, '--to', file], { stdio: 'pipe' });
}

/** The server's disk is lost; another takes its place with a backup. */
async function loseAndRestore(file: string, point: FaultPoint): Promise<void> {
  await lab.lab('kill-server');
  letGo(point);
  rmSync(dataDir, { recursive: true });
  execFileSync(cargoServer, ['restore', '--from', file, '--data-dir', dataDir], { stdio: 'pipe' });
  const { status, stderr } = await lab.lab('restart-server');
  expect(status, stderr).toBe(0);
}

/** Every moment with both backups was tried once; these are the ones that differ most, to keep the run short. */
const cases: { point: FaultPoint; when: string; made: 'before the migration' | 'in staging' }[] = [
  { point: 'server.copy.answered', when: 'while it copies', made: 'before the migration' },
  { point: 'server.freeze.answered', when: 'after the freeze', made: 'in staging' },
  { point: 'server.start.answered', when: 'after the start', made: 'in staging' },
  { point: 'server.copied.written', when: 'once it is copied', made: 'before the migration' },
];

test.each(cases)(
  'the server is lost $when, with a backup made $made: it ends with one runner',
  async ({ point, made }) => {
    const container = `c${cases.findIndex((one) => one.point === point && one.made === made)}`;
    const file = join(folder, 'backup');
    await run(container);
    const whole = await blob('h1', container);
    if (made === 'before the migration') backup(file);
    else hold('server.stage.answered');
    hold(point);
    await begin(container);
    if (made === 'in staging') {
      await isHeld('server.stage.answered');
      backup(file);
      letGo('server.stage.answered');
    }
    await isHeld(point);
    await loseAndRestore(file, point);
    const ended = expect.poll(async () => (await lab.cargoctl('status', container, '-o', 'json')).stdout, {
      timeout: 90_000,
      interval: 300,
    });
    await ended.toMatch(/"phase": ?"copied"/);
    const { epoch: _, ...migration } = { epoch: 0, ...(await lab.status(container)) };
    expect(migration).toMatchObject({ source: 'h1', target: 'h2', movedAs: expect.stringContaining('-moved-') });
    expect(await runners(container)).toEqual(['h2']);
    expect(await blob('h2', container)).toBe(whole);
    const counted = (await lab.must('h2', 'docker', 'exec', container, 'head', '-n', '20', '/data/count')).split('\n');
    expect(counted.map(Number)).toEqual(counted.map((_line, index) => index + 1));
    const over = await lab.cargoctl('failover', container, '--cleanup');
    expect(over, over.stderr).toMatchObject({ status: 0 });
    expect(await lab.must('h1', 'docker', 'ps', '-aq')).toBe('');
  },
);

test('a server that was lost and comes back beside the restored one drives nothing', async () => {
  const file = join(folder, 'backup');
  await run('two');
  backup(file);
  hold('server.freeze.answered');
  await begin('two');
  await isHeld('server.freeze.answered');
  await lab.lab('kill-server');
  const lost = join(folder, 'lost');
  cpSync(dataDir, lost, { recursive: true });
  await loseAndRestore(file, 'server.freeze.answered');
  const phase = async (): Promise<string> => (await lab.cargoctl('status', 'two', '-o', 'json')).stdout;
  await expect.poll(phase, { timeout: 60_000 }).toMatch(/"phase": ?"copied"/);
  const log = join(folder, 'lost.log');
  const args = ['-c', `exec "$0" --data-dir ${lost} --listen 127.0.0.1:0 2>${log}`, cargoServer];
  const old = spawn('sh', args, { stdio: 'ignore' });
  try {
    await expect.poll(() => readFileSync(log, 'utf8'), { timeout: 30_000 }).toMatch(/STALE_SERVER.*stands still/);
    expect(await runners('two')).toEqual(['h2']);
    expect(await lab.status('two')).toMatchObject({ phase: 'copied' });
  } finally {
    old.kill('SIGKILL');
    await once(old, 'exit');
  }
});
