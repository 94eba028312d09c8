import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { enterCommand } from './enter.ts';
import type { Lab, LabHost } from './state.ts';

/** Runs a command in a host with this process's own standard input and output. Gives its exit status. */
export function execInHost(lab: Lab, host: LabHost, command: readonly string[]): Promise<number> {
  const [shell, ...args] = enterCommand(lab, host, command);
  return new Promise((resolve, reject) => {
    const child = spawn(shell, args, { stdio: 'inherit' });
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']));
  });
}
