import { expect, test } from 'vitest';
import { createBody } from '../../../../src/agent/container/create-body.ts';
import type { ContainerDefinition } from '../../../../src/api/container-definition.ts';
import { inspectWith } from './inspect-with.ts';

const image = { createFrom: 'app:1', entrypoint: [] };

function body(
  parts: Parameters<typeof inspectWith>[0],
  from: typeof image | { createFrom: string; entrypoint: string[] } = image,
) {
  const inspect = inspectWith(parts);
  return createBody(
    { inspect, networks: [{ Id: 'n1', Name: 'front', Driver: 'bridge' }] } as unknown as ContainerDefinition,
    from,
  );
}

test('fields that this version has never heard of go along', () => {
  const made = body({ Config: { NewThing: [1] }, HostConfig: { NewerThing: { a: 1 } } });
  expect(made).toMatchObject({ NewThing: [1], HostConfig: { NewerThing: { a: 1 } } });
});

test('the restart policy waits for a good start', () => {
  expect(body({ HostConfig: { RestartPolicy: { Name: 'always' } } })).toMatchObject({
    HostConfig: { RestartPolicy: { Name: 'no' } },
  });
});

test('legacy links get the form that create takes', () => {
  expect(body({ HostConfig: { Links: ['/db:/it/database'] } })).toMatchObject({
    HostConfig: { Links: ['db:database'] },
  });
});

test('a network given by its id is given by its name', () => {
  expect(body({ HostConfig: { NetworkMode: 'n1' } })).toMatchObject({ HostConfig: { NetworkMode: 'front' } });
});

test('an entry point that was taken away stays away', () => {
  expect(body({ Config: { Entrypoint: null } }, { createFrom: 'x', entrypoint: ['/run'] })).toMatchObject({
    Entrypoint: [''],
  });
  expect(body({ Config: { Entrypoint: null } })).toMatchObject({ Entrypoint: null });
});

test('volumes of other containers are mounted by name', () => {
  const Mounts = [{ Type: 'volume', Name: 'theirs', Destination: '/theirs', RW: false }];
  const made = body({ HostConfig: { VolumesFrom: ['other'], Binds: ['mine:/mine'] }, Mounts });
  expect(made).toMatchObject({ HostConfig: { VolumesFrom: null, Binds: ['mine:/mine', 'theirs:/theirs:ro'] } });
});

test('a hardware address goes along only where somebody chose it', () => {
  const endpoint = (MacAddress: string) => ({
    NetworkSettings: { Networks: { front: { IPAddress: '10.1.0.2', MacAddress } } },
  });
  expect(JSON.stringify(body(endpoint('02:42:0a:01:00:02')))).not.toContain('MacAddress');
  expect(JSON.stringify(body(endpoint('02:11:22:33:44:55')))).toContain('"MacAddress":"02:11:22:33:44:55"');
});

test('the short id is no alias: it is another one at the target', () => {
  const Networks = { front: { Aliases: ['web', '0123456789ab'] } };
  expect(body({ NetworkSettings: { Networks } })).toMatchObject({
    NetworkingConfig: { EndpointsConfig: { front: { Aliases: ['web'] } } },
  });
});

test('Docker takes no endpoints for the networks host and none', () => {
  const made = body({ NetworkSettings: { Networks: { host: {} } } });
  expect(made['NetworkingConfig']).toEqual({ EndpointsConfig: {} });
});
