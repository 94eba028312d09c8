import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { differences } from './differences.ts';
import type { DockerHost } from './docker-host.ts';
import { begin, copyData, HostPair, IMAGE, type Move, stage, sweep, WAITING } from './pair.ts';
import { restartDocker } from './restart-docker.ts';

let pair: HostPair;

beforeAll(() => {
  pair = new HostPair();
});
afterAll(() => pair[Symbol.dispose]());
afterEach(() => sweep(pair.source));

const kinds = {
  'a named volume': ['-v', 'gated:/data'],
  'an anonymous volume': ['-v', '/data'],
  'a bind mount alone': ['-v', '/srv/cargo-test/bind:/data'],
  'no mounts': [],
};

async function frozen(host: DockerHost, options: string[]): Promise<{ move: Move; movedAs: string }> {
  host.docker('run', '-d', '--name', 'gated', '--restart', 'always', ...options, IMAGE, ...WAITING);
  const move = await begin(host, pair.target, 'gated');
  const { movedAs } = await host.step(move.id, 'freeze', { movedTo: 'h2', force: false });
  return { move, movedAs };
}

test.each(Object.entries(kinds))(
  'a frozen container with %s can not be started, whatever it is called',
  async (_, options) => {
    const { source } = pair;
    const { move, movedAs } = await frozen(source, options);

    expect(movedAs).toBe(`gated-moved-${move.definition.id.slice(0, 12)}`);
    for (const name of ['gated', movedAs, move.definition.id]) {
      expect(source.tryExec('docker', 'start', name).status, `docker start ${name}`).not.toBe(0);
      expect(source.tryExec('docker', 'restart', name).status, `docker restart ${name}`).not.toBe(0);
    }
    expect(source.docker('ps', '-q')).toBe('');
  },
);

test('the gate holds when Docker is restarted, even with the restart policy put back by hand', async () => {
  const { source } = pair;
  const { movedAs } = await frozen(source, kinds['no mounts']);
  source.docker('update', '--restart', 'always', movedAs);

  await restartDocker(source);

  expect(source.docker('ps', '-aq').split('\n')).toHaveLength(1);
  expect(source.docker('ps', '-q')).toBe('');
  expect(source.tryExec('docker', 'start', movedAs).status).not.toBe(0);
});

test.each(Object.entries(kinds))('thaw brings a container with %s back as it was', async (_, options) => {
  const { source } = pair;
  source.docker('run', '-d', '--name', 'gated', '--restart', 'unless-stopped', ...options, IMAGE, ...WAITING);
  source.docker('exec', 'gated', 'sh', '-c', 'mkdir -p /data; echo precious > /data/file');
  const before = source.inspect('gated');
  const move = await begin(source, pair.target, 'gated');
  const { movedAs } = await source.step(move.id, 'freeze', { movedTo: 'h2', force: false });
  source.tryExec('docker', 'start', movedAs);

  expect(await source.step(move.id, 'thaw', {})).toEqual({ running: true });
  expect(await source.step(move.id, 'thaw', {})).toEqual({ running: true });

  expect(source.docker('exec', 'gated', 'cat', '/data/file')).toBe('precious');
  const found = differences(before, source.inspect('gated')).map((line) => line.split(':')[0] ?? '');
  const ofAnotherRun =
    /^(State\.(Pid|StartedAt|FinishedAt|ExitCode)|NetworkSettings\..*(SandboxID|SandboxKey|EndpointID))$/;
  expect(found.filter((path) => !ofAnotherRun.test(path))).toEqual([]);
  expect(source.exec('sh', '-c', 'find /var/lib/docker -name "*.moved-to-*"')).toBe('');
});

test('freeze and thaw go on from wherever they were interrupted', async () => {
  const { source } = pair;
  for (const moment of [0, 1]) {
    source.docker('run', '-d', '--name', 'gated', '--restart', 'always', '-v', 'gated:/data', IMAGE, ...WAITING);
    const move = await begin(source, pair.target, 'gated');
    const input = { movedTo: 'h2', force: false };
    await expect(source.step(move.id, 'freeze', input, moment)).rejects.toMatchObject({ code: 'CRASH' });
    await source.step(move.id, 'thaw', {});
    expect(source.inspect('gated')).toMatchObject({ State: { Running: true } });

    await expect(source.step(move.id, 'freeze', input, moment)).rejects.toMatchObject({ code: 'CRASH' });
    const { movedAs } = await source.step(move.id, 'freeze', input);
    expect(await source.step(move.id, 'freeze', input), 'frozen twice').toMatchObject({ movedAs });
    await expect(source.step(move.id, 'thaw', {}, moment)).rejects.toMatchObject({ code: 'CRASH' });
    await source.step(move.id, 'thaw', {});
    expect(source.inspect('gated')).toMatchObject({
      State: { Running: true },
      HostConfig: { RestartPolicy: { Name: 'always' } },
    });
    source.docker('rm', '-fv', 'gated');
  }
});

test('a container that has to be killed runs on, unless it is forced', async () => {
  const { source } = pair;
  const stubborn = ['sh', '-c', 'trap "" TERM; while :; do sleep 0.05; done'];
  source.docker('run', '-d', '--name', 'gated', '--restart', 'always', '--stop-timeout', '1', IMAGE, ...stubborn);
  const move = await begin(source, pair.target, 'gated');

  await expect(source.step(move.id, 'freeze', { movedTo: 'h2', force: false })).rejects.toMatchObject({
    code: 'MIGRATION_FAILED',
    message: expect.stringContaining('1 s of SIGTERM'),
  });
  expect(source.inspect('gated')).toMatchObject({
    State: { Running: true },
    HostConfig: { RestartPolicy: { Name: 'always' } },
  });
  const forced = await source.step(move.id, 'freeze', { movedTo: 'h2', force: true });
  expect(forced).toMatchObject({ forced: true, exitCode: 137 });
});

test('a container that another one began to share data with is not frozen', async () => {
  const { source } = pair;
  source.docker('run', '-d', '--name', 'gated', '-v', 'gated:/data', IMAGE, ...WAITING);
  const move = await begin(source, pair.target, 'gated');
  source.docker('run', '-d', '--name', 'late', '-v', 'gated:/data', IMAGE, ...WAITING);

  await expect(source.step(move.id, 'freeze', { movedTo: 'h2', force: false })).rejects.toMatchObject({
    code: 'BLOCKED',
  });
  expect(source.inspect('gated')).toMatchObject({ State: { Running: true } });
});

test('docker rm removes a moved container, and release with cleanup its volumes too', async () => {
  const { source } = pair;
  const { movedAs } = await frozen(source, ['-v', 'gated:/data', '-v', '/other', '-v', '/srv/cargo-test/bind:/bind']);
  source.docker('rm', movedAs);

  const { move, movedAs: second } = await frozen(source, [
    ...['-v', 'cleaned:/data', '-v', '/other', '-v', '/srv/cargo-test/bind:/bind'],
  ]);
  expect(await source.step(move.id, 'release', { cleanup: false })).toEqual({ removed: [] });
  const { removed } = await source.step(move.id, 'release', { cleanup: true });
  expect(removed).toEqual(expect.arrayContaining([second, 'cleaned']));
  expect(removed).toHaveLength(3);
  expect(source.docker('ps', '-aq')).toBe('');
  expect(source.exec('ls', '/srv/cargo-test')).toBe('bind');
});

test('a container that is held since a boot: its data waits for the server’s word, and the migration’s end lets it go', async () => {
  const { source, target } = pair;
  source.docker('run', '-d', '--name', 'gated', '--restart', 'always', '-v', 'gated:/data', IMAGE, ...WAITING);
  const move = await begin(source, target, 'gated');
  await stage(move);
  const { bases } = await source.step(move.id, 'freeze', { movedTo: 'h2', force: false });
  await copyData(move, bases);
  await target.step(move.id, 'start', { healthTimeoutMs: 30_000 });
  target.docker('kill', 'gated');
  await target.hold(move.id);
  expect(target.tryExec('docker', 'start', 'gated').status, 'nobody starts it meanwhile').not.toBe(0);

  await expect(target.step(move.id, 'hydrate', {})).rejects.toMatchObject({ code: 'WRONG_PHASE' });
  await target.step(move.id, 'finish', {});

  expect(target.inspect('gated')).toMatchObject({ State: { Running: true } });
  expect((await target.record(move.id))?.target).toMatchObject({ held: false });
  sweep(target);
});
