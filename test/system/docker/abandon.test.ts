import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { DockerHost } from './docker-host.ts';
import { begin, copyData, HostPair, IMAGE, type Move, stage, sweep, WAITING } from './pair.ts';

let pair: HostPair;

beforeAll(() => {
  pair = new HostPair();
});
afterAll(() => pair[Symbol.dispose]());
afterEach(() => [pair.source, pair.target].forEach(sweep));

/** All that a host has of what `stage` may make. */
function inventory(host: DockerHost): string {
  return [
    host.docker('ps', '-a', '--format', '{{.Names}}'),
    host.docker('volume', 'ls', '-q'),
    host.docker('network', 'ls', '--format', '{{.Name}}'),
    host.docker('images', '-a', '--format', '{{.ID}} {{.Repository}}:{{.Tag}}'),
    host.exec(
      'sh',
      '-c',
      'find /srv -exec stat -c "%n %a %u:%g" {} +; ls /var/lib/docker/volumes /var/lib/docker/overlay2',
    ),
  ].join('\n--\n');
}

async function begun(...command: string[]): Promise<Move> {
  const { source } = pair;
  source.docker('network', 'create', 'made');
  source.docker(
    ...['run', '-d', '--name', 'doomed', '--network', 'made', '-v', 'named:/data', '-v', '/srv/cargo-test/a/b:/new'],
    ...[
      '-v',
      '/srv/cargo-test/here:/here',
      '-v',
      '/anonymous',
      ...(command.length > 0 ? command : [IMAGE, ...WAITING]),
    ],
  );
  return begin(source, pair.target, 'doomed');
}

test('abandon leaves nothing of what stage made, wherever either was interrupted', async () => {
  const { target } = pair;
  target.exec(
    'sh',
    '-c',
    'mkdir -p /srv/cargo-test/here && chmod 701 /srv/cargo-test/here && chown 5:6 /srv/cargo-test/here',
  );
  const before = inventory(target);
  await begun();
  for (let moment = 0; ; moment += 1) {
    const move = await begin(pair.source, target, 'doomed');
    const input = { definition: move.definition, source: { hostId: 'x', name: 'h1', address: 'x:1' }, bases: [] };
    const crash = await target.step(move.id, 'stage', input, moment).then(
      () => null,
      (error: { code: string }) => error.code,
    );
    if (crash === null) {
      expect(moment, 'moments at which stage was interrupted').toBeGreaterThan(15);
      await target.step(move.id, 'abandon', {});
      break;
    }
    expect(crash).toBe('CRASH');
    if (moment % 3 === 0) await target.step(move.id, 'stage', input);
    await target.step(move.id, 'abandon', {}, moment % 2).catch(() => undefined);
    await target.step(move.id, 'abandon', {});
    expect(inventory(target), `stage interrupted at ${moment}`).toBe(before);
  }
  expect(inventory(target)).toBe(before);
});

const onlyAtTheSource =
  'trap "exit 0" TERM; test -e /data/here || { echo no way; exit 3; }; while :; do sleep 0.05; done';

test('a container that ends at the target says why, and is cleared away with what was copied', async () => {
  const { source, target } = pair;
  target.exec('mkdir', '-p', '/srv/cargo-test/here');
  const before = inventory(target);
  source.docker('run', '--rm', '-v', 'named:/data', IMAGE, 'touch', '/data/here');
  const move = await begun(IMAGE, 'sh', '-c', onlyAtTheSource);
  await stage(move);
  target.exec('sh', '-c', 'echo copied > /srv/cargo-test/here/file; echo copied > /srv/cargo-test/a/b/file');

  await expect(target.step(move.id, 'start', { healthTimeoutMs: 5000 })).rejects.toMatchObject({
    code: 'CONTAINER_UNHEALTHY',
    message: expect.stringContaining('exit code 3'),
    details: { exitCode: 3, log: ['no way'] },
  });
  await target.step(move.id, 'abandon', {});
  expect(inventory(target)).toBe(before);
});

test.each([
  ['false', 'is unhealthy'],
  ['sleep 60', 'was not healthy within 3000 ms'],
])('a container whose health check is `%s` at the target fails and is cleared away', async (check, expected) => {
  const { target } = pair;
  const health = [
    '--health-cmd',
    `echo so it is; ${check}`,
    '--health-interval',
    '1s',
    '--health-retries',
    '1',
    '--health-timeout',
    '5s',
  ];
  const move = await begun(...health, IMAGE, ...WAITING);
  await stage(move);
  await expect(target.step(move.id, 'start', { healthTimeoutMs: 3000 })).rejects.toMatchObject({
    code: 'CONTAINER_UNHEALTHY',
    message: expect.stringContaining(expected),
  });
  await target.step(move.id, 'abandon', {});
  expect(target.docker('ps', '-aq')).toBe('');
});

test('a container that is not well and runs on is ended, for good, before its permit counts as refused', async () => {
  const { target } = pair;
  const health = ['--health-cmd', 'false', '--health-interval', '1s', '--health-retries', '1', '--restart', 'always'];
  const move = await begun(...health, IMAGE, ...WAITING);
  await stage(move);
  await expect(target.step(move.id, 'start', { healthTimeoutMs: 3000 })).rejects.toMatchObject({
    code: 'CONTAINER_UNHEALTHY',
  });
  expect(target.docker('ps', '-q'), 'control: it runs on').not.toBe('');

  await target.step(move.id, 'refuse', {});
  expect(target.docker('ps', '-q'), 'the source starts now').toBe('');
  expect(target.tryExec('docker', 'start', move.definition.name).status).not.toBe(0);
  await target.step(move.id, 'abandon', {});
  expect(target.docker('ps', '-aq')).toBe('');
});

test('a start that was interrupted after it used the permit goes on', async () => {
  const { target } = pair;
  const move = await begun();
  await stage(move);
  await expect(target.step(move.id, 'start', { healthTimeoutMs: 3000 }, 1)).rejects.toMatchObject({ code: 'CRASH' });
  expect(target.inspect('doomed')).toMatchObject({ State: { Running: false } });
  expect(await target.step(move.id, 'start', { healthTimeoutMs: 3000 })).toMatchObject({
    running: true,
    health: 'none',
  });
});

test('a staged container can not be started by hand before the permit is used', async () => {
  const { target } = pair;
  const move = await begun();
  await stage(move);
  for (const name of ['doomed', (await target.record(move.id))?.target?.containerId ?? '']) {
    expect(target.tryExec('docker', 'start', name).status, `docker start ${name}`).not.toBe(0);
  }
  expect(await target.step(move.id, 'start', { healthTimeoutMs: 3000 })).toMatchObject({ running: true });
});

test('a container that an agent started before it died is not abandoned, unless it ended', async () => {
  const { target } = pair;
  const move = await begun();
  await stage(move);
  await expect(target.step(move.id, 'start', { healthTimeoutMs: 3000 }, 1)).rejects.toMatchObject({ code: 'CRASH' });
  target.exec(
    'sh',
    '-c',
    'cd /var/lib/docker/overlay2; for at in */work.arriving-*; do mv $at $(dirname $at)/work; done',
  );
  target.docker('start', 'doomed');
  await expect(target.step(move.id, 'abandon', {})).rejects.toMatchObject({ code: 'TARGET_STARTED' });
  target.docker('stop', 'doomed');
  await target.step(move.id, 'abandon', {});
  expect(target.docker('ps', '-aq')).toBe('');
});

test.each(['arrives', 'goes back too'])(
  'what two migrations share is not taken from the second when the first goes back: it %s',
  async (second) => {
    const { source, target } = pair;
    const before = inventory(target);
    source.docker('network', 'create', 'made');
    const names = ['one', 'other'];
    for (const name of names) source.docker('run', '-d', '--name', name, '--network', 'made', IMAGE, ...WAITING);
    const [first, last] = await Promise.all(names.map((name) => begin(source, target, name)));
    if (first === undefined || last === undefined) throw new Error('two migrations were begun');
    for (const move of [first, last]) await stage(move);
    await target.step(first.id, 'abandon', {});
    if (second === 'arrives') {
      expect(await target.step(last.id, 'start', { healthTimeoutMs: 5000 })).toMatchObject({ running: true });
      return;
    }
    await target.step(last.id, 'abandon', {});
    expect(inventory(target)).toBe(before);
  },
);

test('a permit is refused for ever once a migration was abandoned', async () => {
  const { target } = pair;
  const move = await begun();
  await stage(move);
  await target.step(move.id, 'abandon', {});
  await expect(target.step(move.id, 'start', { healthTimeoutMs: 1000 })).rejects.toMatchObject({
    code: 'PERMIT_REFUSED',
  });
  await expect(stage(move)).rejects.toMatchObject({ code: 'PERMIT_REFUSED' });
  expect(await target.step(move.id, 'abandon', {})).toEqual({ keptAs: null, bases: [], removed: [] });

  const never = await begin(pair.source, target, 'doomed');
  await target.step(never.id, 'abandon', {});
  await expect(stage(never)).rejects.toMatchObject({ code: 'PERMIT_REFUSED' });
});

test('a container that was started well can not be abandoned', async () => {
  const { source, target } = pair;
  const move = await begun();
  await stage(move);
  const { bases } = await source.step(move.id, 'freeze', { movedTo: 'h2', force: false });
  await copyData(move, bases);
  await target.step(move.id, 'start', { healthTimeoutMs: 1000 });
  await expect(target.step(move.id, 'abandon', {})).rejects.toMatchObject({ code: 'TARGET_STARTED' });
  expect(target.inspect('doomed')).toMatchObject({ State: { Running: true } });
});
