import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { endAhead } from './ahead.ts';
import { HOLDER_MARK } from './holders.ts';

export const logPath = (stateDir: string): string => join(stateDir, 'hydrator.log');
/** In the environment of a hydrator that is to wait until it reads something, and to end with what it reads from: the root of the tree to be. */
export const WAITS = 'CARGO_LAZY_WAITS';
const WAIT_LIMIT_MS = 600_000;
/** Whoever waits until it is loaded waits for a moment that he chose: not for ever. */
const LOAD_LIMIT_MS = 5_000;
/** A hydrator lives as long as content is missing: what keeps it small is in small-memory.sh, whose environment it inherits. */
const SMALL = ['--max-semi-space-size=1', '--disable-warning=ExperimentalWarning'];
const program = new URL('./hydrate.ts', import.meta.url).pathname;

type Waiting = { child: ChildProcess; limit: NodeJS.Timeout; loaded: Promise<void> };

/** State directory → the process that waits. They end with this one. */
const waiting = new Map<string, Waiting>();

/**
 * Has a hydrator load all of its code and start its holders before its volume is staged: that takes some hundred milliseconds, which would be
 * downtime later. `root`: where the tree is, or another directory of its file system. It waits for `startHydrator`, for ten minutes at most. `loaded` resolves when it has, or some seconds later.
 */
export async function warmHydrator(
  stateDir: string,
  root: string,
  launcher: readonly string[],
): Promise<{ loaded: Promise<void> }> {
  const known = waiting.get(stateDir);
  if (known !== undefined) return { loaded: known.loaded };
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const child = await launch(stateDir, launcher, root);
  const other = waiting.get(stateDir);
  if (other !== undefined) {
    child.stdin?.end();
    return { loaded: other.loaded };
  }
  const limit = setTimeout(() => coolHydrator(stateDir), WAIT_LIMIT_MS).unref();
  const loaded = hasLoaded(child);
  waiting.set(stateDir, { child, limit, loaded });
  child.once('exit', () => {
    if (waiting.get(stateDir)?.child !== child) return;
    coolHydrator(stateDir);
    endAhead(stateDir);
  });
  return { loaded };
}

function hasLoaded(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(limit);
      child.stdout?.destroy();
      resolve();
    };
    const limit = setTimeout(end, LOAD_LIMIT_MS).unref();
    child.stdout?.once('data', end);
    child.once('exit', end);
  });
}

/** Ends one that waits, if there is one. */
export function coolHydrator(stateDir: string): void {
  take(stateDir)?.stdin?.end();
}

/** `hasWaited`: then it may have died while it did, and that is no reason to give up. */
export type StartedHydrator = { ended: Promise<void>; hasWaited: boolean };

/** One that has waited, or a new one. */
export async function startHydrator(stateDir: string, launcher: readonly string[]): Promise<StartedHydrator> {
  const known = take(stateDir);
  const child = known ?? (await launch(stateDir, launcher, null));
  const ended = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    child.once('exit', () => resolve());
  });
  known?.stdin?.end('\n');
  return { ended, hasWaited: known !== null };
}

function take(stateDir: string): ChildProcess | null {
  const known = waiting.get(stateDir);
  waiting.delete(stateDir);
  clearTimeout(known?.limit);
  return known?.child ?? null;
}

/** `waitsFor`: the root of the tree that it waits for. */
async function launch(stateDir: string, launcher: readonly string[], waitsFor: string | null): Promise<ChildProcess> {
  const pipe = waitsFor === null ? 'ignore' : 'pipe';
  const [command = process.execPath, ...args] = [...launcher, process.execPath];
  await using log = await open(logPath(stateDir), 'w', 0o600);
  const child = spawn(command, [...args, ...SMALL, program, stateDir, ...launcher], {
    cwd: '/',
    env: { ...process.env, [HOLDER_MARK]: stateDir, ...(waitsFor === null ? {} : { [WAITS]: waitsFor }) },
    detached: true,
    stdio: [pipe, pipe, log.fd],
  });
  child.unref();
  // Its death is told by its exit.
  child.stdin?.on('error', () => {});
  for (const stream of [child.stdin, child.stdout]) if (stream instanceof Socket) stream.unref();
  return child;
}
