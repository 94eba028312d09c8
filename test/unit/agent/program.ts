import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const END_LIMIT_MS = 10_000;
const WAIT_LIMIT_MS = 15_000;

/** One of the programs in `bin/`, as an operator runs it. Killed when it is disposed of. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  #log = '';

  constructor(name: 'cargo-server' | 'cargo-agent', args: readonly string[]) {
    const path = fileURLToPath(new URL(`../../../bin/${name}`, import.meta.url));
    this.#child = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
      this.#child.emit('logged');
    });
  }

  get log(): string {
    return this.#log;
  }

  /** Resolves once the log holds the text, `times` times. */
  async logs(text: string, times = 1): Promise<void> {
    const signal = AbortSignal.timeout(WAIT_LIMIT_MS);
    while (this.#log.split(text).length <= times) {
      await once(this.#child, 'logged', { signal }).catch(() => {
        throw new Error(`"${text}" was not logged ${times} times:\n${this.#log}`);
      });
    }
  }

  /** Sends the signal; resolves with the exit status, null when the signal killed it. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    this.#child.kill(signal);
    return this.exited();
  }

  async exited(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await once(this.#child, 'exit', { signal: AbortSignal.timeout(END_LIMIT_MS) });
    }
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
  }
}
