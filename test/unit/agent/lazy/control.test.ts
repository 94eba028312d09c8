import { once } from 'node:events';
import fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { askHydrator } from '../../../../src/agent/lazy/control.ts';

test('a hydrator that ends while it is asked counts as one that does not run', async () => {
  const stateDir = fs.mkdtempSync(join(tmpdir(), 'cargo-control-'));
  const server = createServer((socket) => socket.destroy()).listen(join(stateDir, 'control'));
  try {
    await once(server, 'listening');
    const asked = Array.from({ length: 200 }, () => askHydrator(stateDir, { do: 'status' }));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([null]));
  } finally {
    server.close();
    fs.rmSync(stateDir, { recursive: true, force: true });
  }
});
