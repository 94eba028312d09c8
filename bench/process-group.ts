import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export type Command = readonly [string, ...string[]];

/** A command of this machine in a process group of its own; the end of the scope, or the signal, ends all of it. */
export type ProcessGroup = AsyncDisposable & {
  /** Its standard output, once it has ended. @throws Error when it failed or was interrupted */
  output: Promise<string>;
};

export function startGroup([program, ...args]: Command, signal: AbortSignal): ProcessGroup {
  signal.throwIfAborted();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const end = (): void => {
    if (child.pid !== undefined) endGroup(child.pid);
  };
  signal.addEventListener('abort', end, { once: true });
  const closed = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const result = Promise.all([text(child.stdout), closed]).finally(() => signal.removeEventListener('abort', end));
  const output = result.then(([written, code]) => {
    signal.throwIfAborted();
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with status ${code}`);
    return written;
  });
  output.catch(() => undefined); // whoever only ends it needs no outcome
  return {
    output,
    [Symbol.asyncDispose]: async () => {
      end();
      await closed.catch(() => undefined);
    },
  };
}

/** Runs a command of this machine to its end and gives its standard output. */
export async function runGroup(command: Command, signal: AbortSignal): Promise<string> {
  await using group = startGroup(command, signal);
  return await group.output;
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGTERM');
  } catch {
    // all of it has ended
  }
}
