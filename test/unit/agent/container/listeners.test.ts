import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { listeners, parseTable } from '../../../../src/agent/container/listeners.ts';

const table = `  sl  local_address rem_address   st tx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F91 0100007F:8888 01 00000000:00000000
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0
   3: 0000000000000000FFFF00000200000A:0051 00000000000000000000000000000000:0000 0A 0:0
   4: B80D0120000000000000000001000000:0052 00000000000000000000000000000000:0000 0A 0:0
`;

test('only the sockets in the state asked for are found, with their addresses as people write them', () => {
  expect(parseTable(table, '0A')).toEqual([
    { address: '127.0.0.1', port: 8080 },
    { address: '::', port: 80 },
    { address: '10.0.0.2', port: 81 },
    { address: '2001:db8::1', port: 82 },
  ]);
});

test('a server of this process is among the listeners', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await listeners()).toContainEqual({ address: '127.0.0.1', port, protocol: 'tcp' });
  server.close();
});
