import { appendFileSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultPoint } from './points.ts';

/** A directory of the tests' on this machine. Nothing but the environment of the process can name one. */
const directory = process.env['CARGO_FAULT_POINTS'];
const POLL_MS = 10;
const HOLD_LIMIT_MS = 120_000;

/**
 * Does nothing unless the process was started with CARGO_FAULT_POINTS. Then the point is written down in the file
 * `reached` there, and where a test has put a file `<point>.hold` the process stops: it renames that to `<point>.held`
 * and goes on when that is gone, or after two minutes. A point holds once for each file.
 */
export const reach: (point: FaultPoint) => Promise<void> =
  directory === undefined ? async () => {} : (point) => hold(directory, point);

/** The same for a worker thread, which it blocks. */
export const reachBlocking: (point: FaultPoint) => void =
  directory === undefined ? () => {} : (point) => holdBlocking(directory, point);

async function hold(known: string, point: FaultPoint): Promise<void> {
  const held = announce(known, point);
  if (held === null) return;
  for (let waitedMs = 0; waitedMs < HOLD_LIMIT_MS && existsSync(held); waitedMs += POLL_MS) await delay(POLL_MS);
}

function holdBlocking(known: string, point: FaultPoint): void {
  const held = announce(known, point);
  if (held === null) return;
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; waitedMs < HOLD_LIMIT_MS && existsSync(held); waitedMs += POLL_MS) {
    Atomics.wait(never, 0, 0, POLL_MS);
  }
}

/** The file that holds the process here, or null. */
function announce(known: string, point: FaultPoint): string | null {
  if (!existsSync(known)) return null;
  appendFileSync(join(known, 'reached'), `${point}\n`);
  const held = join(known, `${point}.held`);
  try {
    renameSync(join(known, `${point}.hold`), held);
    return held;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
