import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { armVolume, finishVolume, stageVolume, volumeStatus } from '../../../src/agent/lazy/lazy-volume.ts';
import { connectTo, type SourceAddress } from '../../../src/agent/lazy/source-address.ts';
import type { LazyStatus } from '../../../src/agent/lazy/status.ts';
import { readRecord } from '../../../src/agent/lazy/volume-record.ts';
import { receiveRound } from '../../../src/agent/volume/index.ts';

export const run = promisify(execFile);
const program = new URL('../../../bin/cargo-lazy', import.meta.url).pathname;

/** Listens at one socket and hands on what comes to the other. */
type Link = (from: string, to: string) => AsyncDisposable;

/** `sourceDirectory`: where the source is, if not on the target's file system. */
export type PairOptions = {
  bwlimit?: number;
  waitLimitMs?: number;
  restForMs?: number;
  contentLimit?: number;
  sourceDirectory?: string;
  slowLink?: Link;
};

/** A source tree, its server in a process of its own, and a lazy target in `directory`; all ends when disposed of. */
export class LazyPair implements AsyncDisposable {
  readonly directory: string;
  readonly source: string;
  readonly target: string;
  readonly stateDir: string;
  readonly #options: PairOptions;
  /** Where the source's server has its socket and its state. */
  readonly #ofSource: string;
  #server: ChildProcess | null = null;
  #link: AsyncDisposable | null = null;

  constructor(directory: string, options: PairOptions = {}) {
    this.directory = fs.mkdtempSync(join(directory, 'pair-'));
    this.#ofSource =
      options.sourceDirectory === undefined ? this.directory : fs.mkdtempSync(join(options.sourceDirectory, 'source-'));
    this.source = join(this.#ofSource, 'source');
    this.target = join(this.directory, 'target');
    this.stateDir = join(this.directory, 'state');
    this.#options = options;
    for (const path of [this.source, this.target, this.stateDir]) fs.mkdirSync(path);
  }

  get address(): Extract<SourceAddress, { kind: 'unix' }> {
    return { kind: 'unix', path: join(this.#ofSource, this.#options.slowLink === undefined ? 'socket' : 'slow') };
  }

  async serve(): Promise<void> {
    const { contentLimit = 65_536 } = this.#options;
    const where = ['--root', this.source, '--state', `${this.#ofSource}/source-state`];
    const listen = ['--unix', join(this.#ofSource, 'socket'), '--content-limit', String(contentLimit)];
    const server = spawn(program, ['serve', ...where, ...listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#server = server;
    await once(server.stdout, 'data');
    this.#link ??= this.#options.slowLink?.(join(this.#ofSource, 'slow'), join(this.#ofSource, 'socket')) ?? null;
  }

  async endServer(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null || server.exitCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }

  async stage(): Promise<number> {
    const { stateDir, address, target: path } = this;
    const socket = await connectTo(address, { want: 'round', round: 1, final: true });
    const root = { path, isFile: false };
    await receiveRound({ socket, keys: null, root, stateDir, round: 1, signal: AbortSignal.timeout(60_000) });
    socket.destroy();
    const { bwlimit = null, waitLimitMs = null, restForMs = 0 } = this.#options;
    const { files } = await stageVolume({ path, stateDir, source: address, bwlimit, restForMs, waitLimitMs });
    return files;
  }

  /** Served, staged and armed. */
  async begin(): Promise<void> {
    await this.serve();
    await this.stage();
    await armVolume(this.stateDir);
  }

  status(): Promise<LazyStatus> {
    return volumeStatus(this.stateDir);
  }

  finish(limitMs = 60_000): Promise<void> {
    return finishVolume(this.stateDir, AbortSignal.timeout(limitMs));
  }

  /** Of the hydrator; null when none runs. */
  hydrator(): number | null {
    for (const name of fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      const command = readText(`/proc/${name}/cmdline`).split('\0');
      const program = command.findIndex((part) => part.endsWith('/lazy/hydrate.ts'));
      if (program > 0 && command[program + 1] === this.stateDir) return Number(name);
    }
    return null;
  }

  /** SIGKILL, and gone when it returns, or gone before. */
  async kill(pid: number): Promise<void> {
    if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async holders(): Promise<number[]> {
    const record = await readRecord(this.stateDir);
    return (record?.holders ?? []).map(({ pid }) => pid);
  }

  /** The hydrator and all holders. */
  async killAll(): Promise<void> {
    // A hydrator replaces a holder that was killed before it.
    for (let all = this.#all(); all.length > 0; all = this.#all()) for (const pid of all) await this.kill(pid);
  }

  #all(): number[] {
    const lines = ['CARGO_LAZY_HOLDER', 'CARGO_LAZY_HOLDER_AHEAD'].map((mark) => `${mark}=${this.stateDir}`);
    return fs
      .readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .filter((entry) => {
        const environment = readText(`/proc/${entry}/environ`).split('\0');
        return lines.some((line) => environment.includes(line));
      })
      .map(Number)
      .filter(isRunning);
  }

  /** For a hydrator to come, the host was booted since the last one. */
  playBoot(): void {
    const path = join(this.stateDir, 'volume.json');
    const record = JSON.parse(fs.readFileSync(path, 'utf8'));
    fs.writeFileSync(path, JSON.stringify({ ...record, bootId: 'another' }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAll();
    await this.#link?.[Symbol.asyncDispose]();
    await this.endServer();
    for (const directory of [this.directory, this.#ofSource]) fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** A process that runs: one that only waits for its parent does not. */
export function isRunning(pid: number): boolean {
  return /^State:\s+[^ZX]/m.test(readText(`/proc/${pid}/status`));
}

function readText(path: string): string {
  try {
    return fs.readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
