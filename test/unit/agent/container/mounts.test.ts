import { expect, test } from 'vitest';
import { mountSources, mountsFromOthers } from '../../../../src/agent/container/mounts.ts';
import { inspectWith } from './inspect-with.ts';

const volume = (Name: string, Destination: string, RW = true) => ({
  ...{ Type: 'volume', Driver: 'local', Name, Destination, RW },
  Source: `/var/lib/docker/volumes/${Name}/_data`,
});

test('a volume that is mounted at several places is one source', () => {
  const inspect = inspectWith({
    HostConfig: { Binds: ['data:/b', 'data:/a:ro'] },
    Mounts: [volume('data', '/b'), volume('data', '/a', false)],
  });
  expect(mountSources(inspect)).toMatchObject([
    { name: 'data', destinations: ['/a', '/b'], readOnly: false, anonymous: false },
  ]);
});

test('a volume is anonymous when create would make another one', () => {
  const inspect = inspectWith({
    Config: { Volumes: { '/image': {}, '/named': {} } },
    HostConfig: {
      Binds: ['known:/named'],
      Mounts: [
        { Type: 'volume', Target: '/unnamed' },
        { Type: 'volume', Source: 'chosen', Target: '/chosen' },
      ],
    },
    Mounts: [volume('aa', '/image'), volume('known', '/named'), volume('bb', '/unnamed'), volume('chosen', '/chosen')],
  });
  const anonymous = mountSources(inspect).filter((source) => source.anonymous);
  expect(anonymous.map(({ name }) => name)).toEqual(['aa', 'bb']);
});

test('what came with --volumes-from is named, and known as such', () => {
  const inspect = inspectWith({
    Config: { Volumes: { '/theirs': {} } },
    HostConfig: { VolumesFrom: ['other'], Binds: ['mine:/mine'] },
    Mounts: [volume('cc', '/theirs'), volume('mine', '/mine')],
  });
  expect(mountSources(inspect).map(({ anonymous }) => anonymous)).toEqual([false, false]);
  expect(mountsFromOthers(inspect).map(({ Name }) => Name)).toEqual(['cc']);
});

test('memory is no data', () => {
  const tmpfs = { Type: 'tmpfs', Source: '', Destination: '/scratch', RW: true };
  expect(mountSources(inspectWith({ Mounts: [tmpfs] }))).toEqual([]);
});
