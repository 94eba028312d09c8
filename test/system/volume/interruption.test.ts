import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { runJob } from '../../../src/agent/volume/channel.ts';
import type { RoundStats } from '../../../src/agent/volume/index.ts';
import { receiveRound, sendRound } from '../../../src/agent/volume/index.ts';
import { socketPair, TreePair } from './rounds.ts';
import { buildAdversarialTree, snapshot, withoutBlocks } from './snapshot.ts';

const MIB = 1 << 20;
type Outcome = { stats?: RoundStats; code?: string };

/** Both sides as processes, joined by a relay that kills one of them after so many bytes from the source. */
async function runProcesses(pair: TreePair, round: number, victim: 'send' | 'receive' | null, afterBytes = 0) {
  using relay = new Relay();
  const port = await relay.listen();
  const sides = {
    send: startSide('send', port, pair.source, join(pair.directory, 'source-state'), round),
    receive: startSide('receive', port, pair.target, join(pair.directory, 'target-state'), round),
  };
  if (victim !== null) relay.onBytes(afterBytes, () => sides[victim].process.kill('SIGKILL'));
  return { send: await sides.send.outcome, receive: await sides.receive.outcome, relayed: relay.bytes };
}

function startSide(side: string, port: number, path: string, stateDir: string, round: number) {
  const script = new URL('./round-process.ts', import.meta.url).pathname;
  const child: ChildProcess = spawn(process.execPath, [script, side, String(port), path, stateDir, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const outcome = async (): Promise<Outcome> => {
    const output = child.stdout === null ? '' : await text(child.stdout);
    return output === '' ? {} : JSON.parse(output);
  };
  return { process: child, outcome: outcome() };
}

/** Joins the first two connections; counts what passes in either direction. */
class Relay implements Disposable {
  readonly #server: Server = createServer();
  readonly #sockets: Socket[] = [];
  #limit = Number.POSITIVE_INFINITY;
  #onLimit: () => void = () => {};
  bytes = 0;

  async listen(): Promise<number> {
    this.#server.on('connection', (socket) => this.#join(socket)).listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  onBytes(limit: number, act: () => void): void {
    this.#limit = limit;
    this.#onLimit = act;
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #join(socket: Socket): void {
    this.#sockets.push(socket);
    const [left, right] = this.#sockets;
    if (left === undefined || right === undefined) return;
    for (const [from, to] of [[left, right] as const, [right, left] as const]) {
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('data', (piece) => {
        this.bytes += piece.length;
        if (this.bytes < this.#limit) return;
        this.#limit = Number.POSITIVE_INFINITY;
        this.#onLimit();
      });
    }
  }
}

/** On a full disk the large file lies in many pieces, at one side maybe, and the list of them takes a block more. */
function seen(root: string): string[] {
  return snapshot(root).flatMap((line) => (line.startsWith('"/zzz-large"') ? withoutBlocks([line]) : [line]));
}

test.for(['send', 'receive'] as const)(
  'after kill -9 of the %s side in the middle of a file, the next try sends the rest',
  async (victim) => {
    using pair = new TreePair();
    buildAdversarialTree(pair.source);
    fs.writeFileSync(join(pair.source, 'zzz-large'), randomBytes(64 * MIB));
    const first = await runProcesses(pair, 1, victim, 40 * MIB);
    expect(first[victim]).toEqual({});
    expect(first[victim === 'send' ? 'receive' : 'send'].code).toBe('PEER_UNREACHABLE');
    // What was on its way when the side died is lost, as much as sockets and frames hold: up to 20 MiB on a busy machine.
    const arrived = fs.statSync(join(pair.target, 'zzz-large')).blocks * 512;
    expect(arrived).toBeGreaterThan(MIB);
    const second = await runProcesses(pair, 1, null);
    expect(second.send.stats).toEqual(second.receive.stats);
    // The other files, 2 MiB, may come behind it.
    expect(second.send.stats?.bytes).toBeLessThanOrEqual(64 * MIB - arrived + 3 * MIB);
    expect(seen(pair.target)).toEqual(seen(pair.source));
  },
);

test('killed again and again while names change, it ends exact', async () => {
  using pair = new TreePair();
  buildAdversarialTree(pair.source);
  await pair.round();
  for (let attempt = 0; attempt < 6; attempt += 1) {
    fs.renameSync(join(pair.source, 'plain'), join(pair.source, 'aside'));
    fs.renameSync(join(pair.source, 'links'), join(pair.source, 'plain'));
    fs.renameSync(join(pair.source, 'aside'), join(pair.source, 'links'));
    fs.writeFileSync(join(pair.source, `new-${attempt}`), randomBytes(MIB));
    await runProcesses(pair, attempt, attempt % 2 === 0 ? 'send' : 'receive', 1000 + attempt * 150_000);
  }
  const last = await runProcesses(pair, 9, null);
  expect(last.send.stats).toEqual(last.receive.stats);
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
  expect(fs.readdirSync(pair.directory).sort()).toEqual(['source', 'source-state', 'target', 'target-state']);
});

test('an aborted round ends at once on both sides', async () => {
  using pair = new TreePair();
  fs.writeFileSync(join(pair.source, 'large'), randomBytes(8 * MIB));
  const [left, right] = await socketPair();
  const abort = new AbortController();
  const common = { round: 1, root: { path: pair.source, isFile: false } };
  const sent = sendRound({
    ...common,
    socket: left,
    keys: null,
    stateDir: join(pair.directory, 's'),
    final: false,
    bwlimit: MIB,
    signal: abort.signal,
  });
  const received = receiveRound({
    ...common,
    root: { path: pair.target, isFile: false },
    socket: right,
    keys: null,
    stateDir: join(pair.directory, 't'),
    signal: new AbortController().signal,
    onProgress: () => abort.abort(),
  });
  for (const side of await Promise.allSettled([sent, received])) {
    expect(side).toMatchObject({ status: 'rejected', reason: { code: 'CANCELLED' } });
  }
});

test('a peer that says nothing any more is given up', async () => {
  using pair = new TreePair();
  const [left, right] = await socketPair();
  right.resume();
  const job = {
    kind: 'send',
    root: { path: pair.source, isFile: false },
    stateDir: pair.directory,
    round: 1,
    final: false,
  } as const;
  const patience = { pingMs: 50, silenceMs: 400 };
  const { signal } = new AbortController();
  await expect(runJob({ socket: left, keys: null, job, bwlimit: null, signal, patience })).rejects.toMatchObject({
    code: 'PEER_UNREACHABLE',
  });
  right.destroy();
});

test('a bandwidth limit holds', async () => {
  using pair = new TreePair();
  fs.writeFileSync(join(pair.source, 'data'), randomBytes(3 * MIB));
  const began = performance.now();
  await pair.round({ bwlimit: MIB });
  expect(performance.now() - began).toBeGreaterThan(2500);
});
