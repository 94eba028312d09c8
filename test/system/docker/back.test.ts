import { afterAll, beforeAll, expect, test } from 'vitest';
import { begin, HostPair, IMAGE, moveWhole, stage, WAITING } from './pair.ts';

let pair: HostPair;

beforeAll(() => {
  pair = new HostPair();
});
afterAll(() => pair[Symbol.dispose]());

test('moving back uses the data that was left, of named and anonymous volumes and of bind mounts', async () => {
  const { source, target } = pair;
  const options = ['-v', 'rt:/named', '-v', '/seeded', '-v', '/srv/cargo-test/bind:/bind'];
  source.docker('run', '-d', '--name', 'boomerang', '--restart', 'always', ...options, IMAGE, ...WAITING);
  source.docker('exec', 'boomerang', 'sh', '-c', 'for d in named seeded bind; do echo old > /$d/old; done');
  const bases = await moveWhole(source, target, 'boomerang');
  expect(source.docker('ps', '-a', '--format', '{{.Names}}')).toMatch(/^boomerang-moved-/);
  target.docker('exec', 'boomerang', 'sh', '-c', 'for d in named seeded bind; do echo new > /$d/new; done');

  const { definition } = await target.describe('boomerang');
  const { findings, imagePresent } = await source.preflight({ definition, bases });
  expect(findings.filter(({ level }) => level !== 'info')).toEqual([]);
  expect(imagePresent).toBe(true);

  const move = await begin(target, source, 'boomerang');
  await stage(move, bases);
  const staged = await source.record(move.id);
  const paths = (staged?.target?.mountPaths ?? []).map(({ path }) => path);
  for (const path of paths) expect(source.exec('cat', `${path}/old`), 'the base is in place').toBe('old');

  await source.step(move.id, 'abandon', {});
  for (const base of bases)
    expect(source.exec('cat', `${base.dataPath}/old`), 'the base stands aside again').toBe('old');
  expect(source.docker('ps', '-a', '--format', '{{.Names}}')).toMatch(/^boomerang-moved-[0-9a-f]{12}$/);
  expect(source.tryExec('sh', '-c', 'docker start $(docker ps -aq)').status).not.toBe(0);
  await target.step(move.id, 'thaw', {});

  const second = await moveWhole(target, source, 'boomerang', bases);
  expect(source.docker('exec', 'boomerang', 'sh', '-c', 'cat /*/old /*/new').split('\n')).toEqual([
    'old',
    'old',
    'old',
    'new',
    'new',
    'new',
  ]);
  expect(source.docker('ps', '-a', '--format', '{{.Names}}')).toBe('boomerang');
  const volumes = source.docker('volume', 'ls', '-q').split('\n');
  expect(volumes, `of ${JSON.stringify(bases)}`).toHaveLength(2);
  expect(source.exec('sh', '-c', 'find /var/lib/docker/volumes -name "*.moved-to-*"')).toBe('');

  await moveWhole(source, target, 'boomerang', second);
  expect(target.docker('exec', 'boomerang', 'sh', '-c', 'cat /*/old /*/new').split('\n')).toHaveLength(6);
  expect(target.docker('ps', '-a', '--format', '{{.Names}}')).toBe('boomerang');
});
