import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostName, LabPair } from './lab-pair.ts';
import { startGroup } from './process-group.ts';

const PORT = 9001;

/** An rsync daemon in the host's network until the scope ends. */
export type RsyncDaemon = AsyncDisposable & { url: string };

/** Writes below `path`, as this machine sees it; takes connections on return. */
export async function startRsyncDaemon(pair: LabPair, host: HostName, path: string): Promise<RsyncDaemon> {
  await using undo = new AsyncDisposableStack();
  const directory = fs.mkdtempSync(join(tmpdir(), 'cargo-bench-'));
  undo.defer(() => fs.rmSync(directory, { recursive: true }));
  const config = join(directory, 'rsyncd.conf');
  const lines = ['use chroot = yes', 'reverse lookup = no', 'uid = 0', 'gid = 0', '[to]', `path = ${path}`];
  fs.writeFileSync(config, `${[...lines, 'read only = no'].join('\n')}\n`);
  const daemon = ['rsync', '--daemon', '--no-detach', `--port=${PORT}`, `--config=${config}`] as const;
  undo.use(startGroup(pair.inNetworkOf(host, daemon), pair.signal));
  await pair.untilListening(host, PORT);
  const started = undo.move();
  return {
    url: `rsync://${pair.address(host)}:${PORT}/to/`,
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  };
}
