import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { run } from '../../../src/cli/run.ts';

const LAUNCHER = fileURLToPath(new URL('../../../bin/cargoctl', import.meta.url));

export type Outcome = { code: number | null; stdout: string; stderr: string };
export type RunOptions = {
  env?: Record<string, string>;
  stdin?: string;
  interruptOn?: string;
  interruptWhen?: () => PromiseLike<unknown>;
};

/** The real program as a user runs it, with a home of its own that goes when the scope ends. */
export async function cargoctlHome(): Promise<AsyncDisposable & { path: string; run: Run }> {
  const path = await mkdtemp(join(tmpdir(), 'cargoctl-test-'));
  return {
    path,
    run: (args, options = {}) => runCargoctl(path, args, options),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

export type Run = (args: string[], options?: RunOptions) => Promise<Outcome>;

/** Ctrl-C comes once `interruptOn` stands in the output, or `interruptWhen` resolves. */
async function runCargoctl(home: string, args: string[], { env, stdin, ...interrupt }: RunOptions): Promise<Outcome> {
  const child = spawn(LAUNCHER, args, {
    env: { PATH: process.env['PATH'], HOME: home, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 15_000,
  });
  child.stdin.end(stdin ?? '');
  const { interruptOn, interruptWhen } = interrupt;
  if (interruptOn !== undefined) {
    let shown = '';
    child.stdout.on('data', (chunk) => {
      shown += chunk;
      if (shown.includes(interruptOn)) child.kill('SIGINT');
    });
  }
  void interruptWhen?.().then(() => child.kill('SIGINT'));
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

/** The same program without a process of its own, for the many cases in which nothing but its answer matters. */
export async function runHere(args: string[], env: Record<string, string>): Promise<Outcome> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const terminal = { stdin, stdout, stderr, env, signal: new AbortController().signal };
  const code = await run(args, terminal);
  return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') };
}
