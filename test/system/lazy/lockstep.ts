import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';

const program = new URL('./lockstep.py', import.meta.url).pathname;
const ANSWER_LIMIT_MS = 150_000;

/** As lockstep.py takes it: what, file, other file, and two numbers; or the comparison of everything. */
export type Operation = [what: number, file: number, other: number, a: number, b: number];

/** Does each operation in a lazy directory and in a plain copy of it. */
export class Process implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #ready: Promise<unknown>;
  readonly #lost: Promise<undefined[]>;

  constructor(lazy: string, plain: string) {
    const child = spawn('python3', [program, lazy, plain], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout });
    this.#ready = once(this.#lines, 'line');
    this.#lost = once(child, 'exit').then(() => []);
  }

  /** What was different, in words. */
  async run(operations: readonly (Operation | ['end'])[]): Promise<string[]> {
    await this.#ready;
    const answer = once(this.#lines, 'line', { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
    this.#child.stdin?.write(`${JSON.stringify(operations)}\n`);
    const [line] = await Promise.race([answer, this.#lost]);
    if (line === undefined) throw new Error('a process of the test ended');
    return JSON.parse(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}

/** Reads all files of a directory at random. */
export class Noise implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(lazy: string) {
    this.#child = spawn('python3', [program, 'noise', lazy], { stdio: ['pipe', 'inherit', 'inherit'] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
