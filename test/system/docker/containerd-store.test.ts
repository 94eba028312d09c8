import { afterAll, beforeAll, expect, test } from 'vitest';
import { begin, HostPair, IMAGE, moveWhole, stage, WAITING } from './pair.ts';
import { restartDocker } from './restart-docker.ts';

let pair: HostPair;

/** The source has the graph driver overlay2, the target the containerd store. */
beforeAll(async () => {
  pair = new HostPair('h3');
  const features = '{"features":{"containerd-snapshotter":true}}';
  pair.target.exec('sh', '-c', `mkdir -p /etc/docker && echo '${features}' > /etc/docker/daemon.json`);
  await restartDocker(pair.target);
  expect(pair.target.docker('info', '-f', '{{.Driver}}')).toBe('overlayfs');
});
afterAll(async () => {
  pair.clear();
  pair.target.exec('rm', '/etc/docker/daemon.json');
  await restartDocker(pair.target);
  pair[Symbol.dispose]();
});

test('a container moves from a graph driver to the containerd store and back', async () => {
  const { source, target } = pair;
  source.docker('run', '-d', '--name', 'it', '-v', 'data:/data', IMAGE, ...WAITING);
  source.docker('exec', 'it', 'sh', '-c', 'echo kept > /data/file');
  const left = await moveWhole(source, target, 'it');
  expect(target.docker('exec', 'it', 'cat', '/data/file', '/seeded/file')).toBe('kept\nseed');
  expect(target.docker('images', '-q', IMAGE)).not.toBe('');

  const there = await begin(target, source, 'it');
  const { movedAs } = await target.step(there.id, 'freeze', { movedTo: 'h1', force: false });
  for (const name of [movedAs, there.definition.id]) {
    expect(target.tryExec('docker', 'start', name).status, `docker start ${name}`).not.toBe(0);
  }
  target.docker('update', '--restart', 'always', movedAs);
  await restartDocker(target);
  expect(target.docker('ps', '-q')).toBe('');
  await target.step(there.id, 'thaw', {});
  expect(target.docker('exec', 'it', 'cat', '/data/file')).toBe('kept');

  await moveWhole(target, source, 'it', left);
  expect(source.docker('exec', 'it', 'cat', '/data/file', '/seeded/file')).toBe('kept\nseed');
});

test('a container that is only staged, or was never started, is held too', async () => {
  const { source, target } = pair;
  source.docker('create', '--name', 'new', IMAGE, ...WAITING);
  const move = await begin(source, target, 'new');
  await stage(move);
  expect(target.tryExec('docker', 'start', 'new').status).not.toBe(0);
  await target.step(move.id, 'start', { healthTimeoutMs: 5000 });

  const back = await begin(target, source, 'new');
  const { movedAs } = await target.step(back.id, 'freeze', { movedTo: 'h1', force: false });
  expect(target.tryExec('docker', 'start', movedAs).status).not.toBe(0);
  await target.step(back.id, 'thaw', {});
  target.docker('start', 'new');
});
