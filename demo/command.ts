import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const ROOT = join(import.meta.dirname, '..');

export type CommandOptions = {
  env?: Record<string, string>;
  limitMs: number;
  signal?: AbortSignal;
  /** Shows the command and its output as in a session. */
  show?: boolean;
};

/**
 * Runs a program of this repository's `bin` and returns its standard output; its errors go to the terminal.
 * @throws Error when it fails or does not end within the limit
 */
export async function run(program: string, args: readonly string[], options: CommandOptions): Promise<string> {
  const { env, limitMs, show = false, signal } = options;
  signal?.throwIfAborted();
  if (show) console.log(`\n$ ${[program, ...args].join(' ')}`);
  const limit = AbortSignal.timeout(limitMs);
  const child = spawn(join(ROOT, 'bin', program), args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    // of its own process group: Ctrl-C is for the demo, which ends its commands itself and then clears up
    detached: true,
  });
  const stop = () => child.pid !== undefined && process.kill(-child.pid, 'SIGTERM');
  const ends = [limit, ...(signal === undefined ? [] : [signal])];
  for (const end of ends) end.addEventListener('abort', stop, { once: true });
  if (show) child.stdout.on('data', (chunk: Buffer) => process.stdout.write(chunk));
  try {
    const closed = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
    const [output, code] = await Promise.all([text(child.stdout), closed]);
    signal?.throwIfAborted();
    if (limit.aborted) throw new Error(`${program} ${args[0]} did not end within ${limitMs / 1000} s`);
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with status ${code}`);
    return output;
  } finally {
    for (const end of ends) end.removeEventListener('abort', stop);
  }
}
