import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { enterCommand } from './enter.ts';
import { type Result, type RunOptions, tryRun } from './run.ts';
import type { Lab, LabHost } from './state.ts';

/** Runs a command in a host to its end and gives what it wrote, and its exit status whatever that is. */
export async function runInHost(
  lab: Lab,
  host: LabHost,
  command: readonly string[],
  options: RunOptions = {},
): Promise<Result> {
  const [shell, ...args] = enterCommand(lab, host, command);
  return await tryRun(shell, args, options);
}

/** nsenter hands no signal on to the command it started: it goes to its children. */
function signalChildren(pid: number, signal: NodeJS.Signals): void {
  for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)) {
    process.kill(Number(child), signal);
  }
}

/**
 * Runs a command in a host with this process's own standard input and output. Gives its exit status.
 * An interrupt from the terminal reaches the command by itself: here it is only kept from ending us first.
 */
export function execInHost(lab: Lab, host: LabHost, command: readonly string[]): Promise<number> {
  const [shell, ...args] = enterCommand(lab, host, command);
  return new Promise((resolve, reject) => {
    const child = spawn(shell, args, { stdio: 'inherit' });
    process.on('SIGINT', () => undefined);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (child.pid !== undefined) signalChildren(child.pid, signal);
      });
    }
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']));
  });
}
