import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect, test } from 'vitest';
import { AdvertisedAddress, formatAddress, parseAddress } from '../../../../src/agent/net/advertised-address.ts';
import { freePort } from '../free-port.ts';

const never = new AbortController().signal;

test.each([
  ['0.0.0.0:5005', { host: '0.0.0.0', port: 5005 }],
  ['[::1]:80', { host: '::1', port: 80 }],
  ['db1.example:5005', { host: 'db1.example', port: 5005 }],
])('%s is an address and is written the same way', (text, address) => {
  expect(parseAddress(text)).toEqual(address);
  expect(formatAddress(address)).toBe(text);
});

test.each(['5005', 'host', 'host:', 'host:70000', '::1:5005', 'host:5x', ''])('"%s" is no address', (text) => {
  expect(() => parseAddress(text)).toThrow(/is no address/);
});

test('what was said counts, then what is listened on, without asking anybody', async () => {
  const server = new URL('https://127.0.0.1:1');
  const listen = { host: '10.0.0.1', port: 5005 };
  const advertise = { host: 'h1.example', port: 15005 };
  expect(await new AdvertisedAddress(listen, advertise, server).get(never)).toBe('h1.example:15005');
  expect(await new AdvertisedAddress(listen, undefined, server).get(never)).toBe('10.0.0.1:5005');
});

test('behind a wildcard it is an address that peers can reach, known once the server can be reached', async () => {
  const port = await freePort();
  const wildcard = { host: '0.0.0.0', port: 5005 };
  const address = new AdvertisedAddress(wildcard, undefined, new URL(`https://127.0.0.1:${port}`));
  await expect(address.get(never)).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  const server = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const found = await address.get(never);
  server.close();
  await once(server, 'close');
  expect(found).toMatch(/:5005$/);
  expect(addressesOf((await hasDefaultRoute()) ? 'outside' : 'loopback')).toContain(found.replace(/:5005$/, ''));
  expect(await address.get(never)).toBe(found);
});

async function hasDefaultRoute(): Promise<boolean> {
  const routes = await readFile('/proc/net/route', 'utf8');
  return routes.split('\n').some((line) => line.split('\t')[1] === '00000000');
}

function addressesOf(where: 'outside' | 'loopback'): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ internal }) => internal === (where === 'loopback')).map(({ address }) => address);
}
