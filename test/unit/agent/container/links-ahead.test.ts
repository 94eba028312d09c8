import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LinksAhead } from '../../../../src/agent/container/links-ahead.ts';
import type { SourceAddress } from '../../../../src/agent/lazy/index.ts';

let directory: string;
let server: Server;
let source: SourceAddress;
const isOpen = new Map<Socket, boolean>();
const opened = (): boolean[] => [...isOpen.values()];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cargo-links-'));
  source = { kind: 'unix', path: join(directory, 'source') };
  server = createServer((socket) => {
    isOpen.set(socket, true);
    socket.on('close', () => isOpen.set(socket, false)).resume();
  });
  server.listen(source.path);
  await once(server, 'listening');
});

afterEach(() => {
  vi.useRealTimers();
  for (const socket of isOpen.keys()) socket.destroy();
  isOpen.clear();
  server.close();
  rmSync(directory, { recursive: true });
});

test('a link that was made ahead is given away once, connected', async () => {
  const links = new LinksAhead();
  links.connect('state', source);
  await expect.poll(opened).toEqual([true]);
  const link = links.take('state');
  expect(link).not.toBeNull();
  expect(links.take('state')).toBeNull();
  links.close('state');
  expect(opened(), 'it is the caller’s now').toEqual([true]);
  link?.close();
  await expect.poll(opened).toEqual([false]);
});

test('a second one takes the place of the first, and closing ends it', async () => {
  const links = new LinksAhead();
  links.connect('state', source);
  await expect.poll(opened).toEqual([true]);
  links.connect('state', source);
  await expect.poll(opened).toEqual([false, true]);
  links.close('state');
  await expect.poll(opened).toEqual([false, false]);
});

test('one that nobody asks for is closed after a while', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const links = new LinksAhead();
  links.connect('state', source);
  await vi.waitFor(() => expect(opened()).toEqual([true]));
  vi.advanceTimersByTime(60_000);
  expect(links.take('state')).toBeNull();
  await vi.waitFor(() => expect(opened()).toEqual([false]));
});
