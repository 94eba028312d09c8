import { type SpawnOptions, spawn } from 'node:child_process';
import { CargoError } from '../src/api/cargo-error.ts';

export type RunOptions = {
  /** Written to the command's standard input. */
  input?: string;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Descriptors that the command holds open besides the standard three. */
  inherit?: readonly number[];
  timeoutMs?: number;
};

export type Result = { status: number; stdout: string; stderr: string };

/** Runs a command to its end, whatever its exit status. @throws CargoError TIMED_OUT, INTERNAL when it can't start. */
export function tryRun(command: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const spawnOptions: SpawnOptions = {
    stdio: ['pipe', 'pipe', 'pipe', ...(options.inherit ?? [])],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, spawnOptions);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, options.timeoutMs ?? 120_000);
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin?.on('error', () => undefined); // the command may end without reading its input
    child.stdin?.end(options.input ?? '');
    child.on('error', (cause) => {
      clearTimeout(timer);
      reject(new CargoError('INTERNAL', `can't run ${command}: is it installed? (\`make setup\`)`, { cause }));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (timedOut) {
        reject(new CargoError('TIMED_OUT', `${command} ${args.join(' ')} did not end in time`));
        return;
      }
      const status = code ?? 128 + (signal === 'SIGKILL' ? 9 : 15);
      resolve({ status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
  });
}

/** Runs a command and gives its standard output. @throws CargoError INTERNAL with its last words when it fails. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await tryRun(command, args, options);
  if (result.status !== 0) {
    const lastWords = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-5).join('\n');
    throw new CargoError('INTERNAL', `${command} ${args.join(' ')} failed (${result.status}): ${lastWords}`);
  }
  return result.stdout;
}
