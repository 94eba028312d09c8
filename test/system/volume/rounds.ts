import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { ServedFiles } from '../../../src/agent/lazy/served-files.ts';
import {
  type RoundStats,
  receiveRound,
  type SealKeys,
  sendRound,
  type VerifyStats,
  verifyAtSource,
  verifyAtTarget,
} from '../../../src/agent/volume/index.ts';

/** Two connected TCP sockets on loopback. */
export async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const accepted = once(server, 'connection');
  const client = connect(address.port, '127.0.0.1');
  const [peer] = await accepted;
  server.close();
  return [peer, client];
}

/** Two sockets whose connection leads over somebody who may change what the first one sends. */
async function watchedPair(onTheWay: (bytes: Buffer) => Buffer): Promise<[Socket, Socket]> {
  const [left, near] = await socketPair();
  const [far, right] = await socketPair();
  near.on('data', (bytes) => far.write(onTheWay(bytes)));
  far.on('data', (bytes) => near.write(bytes));
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.on('error', () => other.destroy()).on('close', () => other.destroy());
  }
  return [left, right];
}

/** What the two ends of one connection seal their frames with. */
export function sealKeys(): { source: SealKeys; target: SealKeys } {
  const [there, back] = [randomBytes(32), randomBytes(32)];
  return { source: { send: there, receive: back }, target: { send: back, receive: there } };
}

export type RoundRequest = {
  final?: boolean;
  isFile?: boolean;
  bwlimit?: number;
  contentLimit?: number;
  wholeMs?: number;
  freshBytes?: number;
  /** False: the connection is to be as safe as it is. */
  sealed?: boolean;
  onTheWay?: (bytes: Buffer) => Buffer;
};

/** A source and a target tree with the states of their agents, in a directory that goes away at the end. */
export class TreePair implements Disposable {
  readonly directory: string;
  readonly source: string;
  readonly target: string;
  readonly #state: string;
  #round = 0;

  constructor(parent = '/var/tmp', turned?: TreePair) {
    this.directory = turned?.directory ?? fs.mkdtempSync(join(parent, 'cargo-volume-'));
    this.source = turned?.target ?? join(this.directory, 'source');
    this.target = turned?.source ?? join(this.directory, 'target');
    this.#state = turned === undefined ? 'state' : 'state-back';
    for (const path of [this.source, this.target]) fs.mkdirSync(path, { recursive: true });
  }

  /** The way back, as a migration of its own. */
  turned(): TreePair {
    return new TreePair('', this);
  }

  /** One round from source to target; both sides must say the same. */
  async round(request: RoundRequest = {}): Promise<RoundStats> {
    const [sent, received] = await this.attempt(request);
    if (sent.status === 'rejected') throw sent.reason;
    if (received.status === 'rejected') throw received.reason;
    if (JSON.stringify(sent.value) !== JSON.stringify(received.value)) throw new Error('the sides count differently');
    return sent.value;
  }

  async attempt(
    request: RoundRequest = {},
  ): Promise<[PromiseSettledResult<RoundStats>, PromiseSettledResult<RoundStats>]> {
    this.#round += 1;
    const { final = false, isFile = false, bwlimit = null, sealed = true, onTheWay } = request;
    const { contentLimit, wholeMs, freshBytes } = request;
    const [left, right] = await (onTheWay === undefined ? socketPair() : watchedPair(onTheWay));
    const keys = sealed ? sealKeys() : { source: null, target: null };
    const common = { round: this.#round, signal: AbortSignal.timeout(150_000) };
    try {
      return await Promise.allSettled([
        sendRound({
          ...common,
          socket: left,
          keys: keys.source,
          root: { path: this.source, isFile },
          stateDir: join(this.directory, `source-${this.#state}`),
          ...{ final, bwlimit, contentLimit, wholeMs, freshBytes },
        }),
        receiveRound({
          ...common,
          socket: right,
          keys: keys.target,
          root: { path: this.target, isFile },
          stateDir: join(this.directory, `target-${this.#state}`),
        }),
      ]);
    } finally {
      left.destroy();
      right.destroy();
    }
  }

  /** Of the last round: the files whose content is still to follow. */
  following(): string[] {
    using files = new ServedFiles({ path: this.source, stateDir: join(this.directory, `source-${this.#state}`) });
    return Array.from({ length: files.count }, (_, file) => files.list(file).path.join('/')).sort();
  }

  /** What both sides say of the target's tree beside what was sent in the last round. */
  async verify(): Promise<VerifyStats> {
    const [left, right] = await socketPair();
    const signal = AbortSignal.timeout(60_000);
    try {
      const [atSource, atTarget] = await Promise.all([
        verifyAtSource({
          ...{ socket: left, keys: null, root: { path: this.source, isFile: false }, signal },
          stateDir: join(this.directory, 'source-state'),
        }),
        verifyAtTarget({
          ...{ socket: right, keys: null, root: { path: this.target, isFile: false }, signal },
          stateDir: join(this.directory, 'target-state'),
        }),
      ]);
      if (JSON.stringify(atSource) !== JSON.stringify(atTarget)) throw new Error('the sides say different things');
      return atTarget;
    } finally {
      left.destroy();
      right.destroy();
    }
  }

  /** Both agents forget what they knew: the next round compares contents. */
  forget(): void {
    fs.rmSync(join(this.directory, `source-${this.#state}`), { recursive: true, force: true });
    fs.rmSync(join(this.directory, `target-${this.#state}`), { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    removeAll(this.directory);
  }
}

/** Also what is immutable. */
export function removeAll(directory: string): void {
  try {
    fs.rmSync(directory, { recursive: true, force: true });
    return;
  } catch {
    // Node's words for what is immutable differ.
  }
  // It fails at nodes and beyond PATH_MAX, where nothing is immutable.
  spawnSync('chattr', ['-R', '-f', '-ia', directory], { stdio: 'ignore' });
  fs.rmSync(directory, { recursive: true, force: true });
}
