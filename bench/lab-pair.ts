import { join } from 'node:path';
import { type CommandOptions, run } from '../demo/command.ts';
import { bootLab, type Lab as DemoLab } from '../demo/lab.ts';
import { callServer, findHost, hostRoot, loadLab, requireInit, runInHost, waitUntil } from '../lab/index.ts';
import { type Command, runGroup } from './process-group.ts';

export type HostName = 'h1' | 'h2';

const LISTENING_LIMIT_MS = 10_000;
const MOVE_LIMIT_MS = 10 * 60_000;

/** Two hosts of a lab, with what a bench needs beside Cargo: their disks and their network, for programs of this machine. */
export class LabPair implements AsyncDisposable {
  readonly demo: DemoLab;
  readonly signal: AbortSignal;
  readonly #name: string;

  private constructor(name: string, demo: DemoLab, signal: AbortSignal) {
    this.#name = name;
    this.demo = demo;
    this.signal = signal;
  }

  static async boot(name: string, signal: AbortSignal): Promise<LabPair> {
    return LabPair.of(await bootLab(name, false, signal), signal);
  }

  /** Of a lab that is up. */
  static of(demo: DemoLab, signal: AbortSignal): LabPair {
    return new LabPair(demo.name, demo, signal);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.demo[Symbol.asyncDispose]();
  }

  address(host: HostName): string {
    return findHost(this.#lab, host).address;
  }

  /** Where this machine sees a path of the host. */
  path(host: HostName, path: string): string {
    return join(hostRoot(this.#init(host)), path);
  }

  /** A program of this machine in the host's network. */
  inNetworkOf(host: HostName, command: Command): Command {
    return ['nsenter', `--net=/proc/${this.#init(host)}/ns/net`, ...command];
  }

  /** Runs a program of the host to its end; gives its standard output, trimmed. @throws Error when it fails */
  async exec(host: HostName, ...command: string[]): Promise<string> {
    this.signal.throwIfAborted();
    const lab = this.#lab;
    const { status, stdout, stderr } = await runInHost(lab, findHost(lab, host), command, { timeoutMs: MOVE_LIMIT_MS });
    if (status !== 0) throw new Error(`${host}: ${command.join(' ')} ended with status ${status}: ${stderr || stdout}`);
    return stdout.trim();
  }

  async untilListening(host: HostName, port: number): Promise<void> {
    const list = this.inNetworkOf(host, ['ss', '-Hltn', `sport = :${port}`]);
    await waitUntil(`port ${port} of ${host} is listened on`, LISTENING_LIMIT_MS, async () =>
      (await runGroup(list, this.signal)) === '' ? undefined : true,
    );
  }

  cargoctl(...args: string[]): Promise<string> {
    const options: CommandOptions = { env: this.demo.env, limitMs: MOVE_LIMIT_MS, signal: this.signal };
    return run('cargoctl', args, options);
  }

  /** A call of Cargo's API, without the time that a program takes to start. */
  call(method: 'GET' | 'PATCH', path: string, body?: unknown): Promise<unknown> {
    return callServer(this.#lab, method, path, body);
  }

  get #lab() {
    return loadLab(this.#name);
  }

  #init(host: HostName): number {
    const lab = this.#lab;
    return requireInit(lab, findHost(lab, host));
  }
}

export function otherThan(host: HostName): HostName {
  return host === 'h1' ? 'h2' : 'h1';
}
