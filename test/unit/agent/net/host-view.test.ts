import { expect, test } from 'vitest';
import { AdvertisedAddress } from '../../../../src/agent/net/advertised-address.ts';
import { HostView } from '../../../../src/agent/net/host-view.ts';

const never = new AbortController().signal;
const listen = { host: '127.0.0.1', port: 5005 };
const address = new AdvertisedAddress(listen, undefined, new URL('https://127.0.0.1:1'));
const docker = {
  dockerVersion: '26.1.5',
  dockerRoot: '/var/lib/docker',
  storageDriver: 'overlay2',
  architecture: 'arm64',
};

test('what Docker says is passed on', async () => {
  const view = new HostView({ dockerFacts: async () => docker, containers: async () => [] }, address);
  const { facts, containers } = await view.heartbeat(never);
  expect(facts).toMatchObject({ ...docker, dataAddress: '127.0.0.1:5005' });
  expect(containers).toEqual([]);
});

test('a daemon that does not answer is told as such, with the architecture it had', async () => {
  let up = true;
  const view = new HostView(
    {
      dockerFacts: async () => (up ? docker : null),
      containers: async () => (up ? [] : Promise.reject(new Error('down'))),
    },
    address,
  );
  await view.heartbeat(never);
  up = false;
  const { facts, containers } = await view.heartbeat(never);
  expect(facts).toMatchObject({ dockerVersion: null, dockerRoot: null, architecture: 'arm64' });
  expect(containers).toBeNull();
});

test('a daemon that hangs holds nobody up: the last look counts meanwhile', async () => {
  let hangs = false;
  const view = new HostView(
    {
      dockerFacts: async (signal) => {
        if (hangs)
          await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        return docker;
      },
      containers: async () => [],
    },
    address,
  );
  await view.heartbeat(never);
  hangs = true;
  const startedAt = performance.now();
  expect((await view.heartbeat(never)).facts.dockerVersion).toBe('26.1.5');
  expect(performance.now() - startedAt).toBeLessThan(1_900);
});
