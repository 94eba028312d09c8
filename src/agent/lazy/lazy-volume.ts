import { mkdir, readFile, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { askHydrator } from './control.ts';
import { endHolder, findProcesses, isAlive } from './holders.ts';
import { coolHydrator, logPath, startHydrator } from './hydrator-process.ts';
import { layOutPlaceholders } from './lay-out.ts';
import { lockVolume } from './open-volume.ts';
import { probe } from './probe.ts';
import type { SourceAddress } from './source-address.ts';
import { linkTo, type SourceLink } from './source-link.ts';
import type { ControlRequest, LazyStatus } from './status.ts';
import { bootId, expectRecord, readRecord, writeRecord } from './volume-record.ts';

const POLL_MS = 10;
/** While a container is down for it. */
const ARM_POLL_MS = 2;
const ARM_LIMIT_MS = 600_000;
const END_LIMIT_MS = 5_000;

export type StageOptions = {
  /** Root of the tree, as the last round with a content limit left it; in use by nobody. */
  path: string;
  stateDir: string;
  source: SourceAddress;
  bwlimit: number | null;
  paused?: boolean;
  /** For so long after the volume is armed the background copy does not begin, unless it is told otherwise. */
  restForMs?: number;
  waitLimitMs: number | null;
  /** `probe` found nothing a moment ago: it takes time. */
  isProbed?: boolean;
  /** To the source, and connected already; closed on return. */
  link?: SourceLink | null;
  /** The source is waited for until then. */
  signal?: AbortSignal;
};

/**
 * Makes placeholders of a tree's outlines. May be repeated until the volume is armed. A tree without any is finished at once.
 * @throws CargoError BLOCKED with the reason why this host or tree can't; WRONG_PHASE
 */
export async function stageVolume(options: StageOptions): Promise<{ files: number }> {
  const { path, stateDir, source, bwlimit, paused = false, restForMs = 0, waitLimitMs, isProbed, signal } = options;
  const link = options.link ?? linkTo(source);
  const giveUp = (): void => link.close();
  signal?.addEventListener('abort', giveUp);
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const known = await readRecord(stateDir);
    if (known !== null && known.phase !== 'staged') {
      throw new CargoError('WRONG_PHASE', `${path} is ${known.phase} already.`);
    }
    signal?.throwIfAborted();
    link.connect();
    if (isProbed !== true) probe(path);
    const writeDown = async (files: number): Promise<void> => {
      const phase = files === 0 ? 'finished' : 'staged';
      const wanted = { bwlimit, paused, restForMs, waitLimitMs };
      const empty = { reason: null, bootId: null, hydrator: null, holders: [] };
      await writeRecord(stateDir, { phase, path, source, files, ...wanted, ...empty });
    };
    const files = await layOutPlaceholders({ path, stateDir, list: (onFile) => link.list(onFile), writeDown });
    if (files === 0) coolHydrator(stateDir);
    return { files };
  } finally {
    signal?.removeEventListener('abort', giveUp);
    link.close();
  }
}

/** Whether a volume is beyond its staging, which can't be repeated then. */
export async function hasBegun(stateDir: string): Promise<boolean> {
  const record = await readRecord(stateDir);
  return record !== null && record.phase !== 'staged';
}

/**
 * Starts the volume's hydrator and returns when the tree may be used; also after a hydrator was lost, and after a boot.
 * `launcher`: a command that takes a process out of the caller's cgroup, as `systemd-run --scope --quiet --collect` does.
 * @throws CargoError BLOCKED, WRONG_PHASE; MIGRATION_FAILED when the volume is suspect
 */
export async function armVolume(
  stateDir: string,
  launcher: readonly string[] = [],
  signal?: AbortSignal,
): Promise<void> {
  if ((await askHydrator(stateDir, { do: 'status' })) !== null) return;
  if ((await expectRecord(stateDir)).phase === 'finished') return;
  let hydrator = await startHydrator(stateDir, launcher);
  const deadline = performance.now() + ARM_LIMIT_MS;
  while (performance.now() < deadline) {
    if ((await askHydrator(stateDir, { do: 'status' })) !== null) return;
    signal?.throwIfAborted();
    const hasEnded = await Promise.race([hydrator.ended.then(() => true), delay(ARM_POLL_MS, false)]);
    if (!hasEnded) continue;
    if ((await expectRecord(stateDir)).phase === 'finished') return;
    if (!hydrator.hasWaited) throw failure(await readFile(logPath(stateDir), 'utf8'));
    hydrator = await startHydrator(stateDir, launcher);
  }
  throw new CargoError('TIMED_OUT', `The hydrator for ${stateDir} has not begun within ${ARM_LIMIT_MS / 60_000} min.`);
}

/** Whether a volume is complete, or its hydrator lives: what `armVolume` would find, without a word from one that is busy. */
export async function isProtected(stateDir: string): Promise<boolean> {
  const { phase, hydrator, bootId: armedIn } = await expectRecord(stateDir);
  if (phase === 'finished') return true;
  return phase === 'armed' && armedIn === bootId() && hydrator !== null && isAlive(hydrator);
}

/** @throws CargoError NOT_FOUND */
export async function volumeStatus(stateDir: string): Promise<LazyStatus> {
  const live = await askHydrator(stateDir, { do: 'status' });
  if (live !== null) return live;
  const { phase, reason, files, paused, bwlimit } = await expectRecord(stateDir);
  const isFinished = phase === 'finished';
  return {
    ...{ phase, reason, files, paused, bwlimit },
    filesDone: isFinished ? files : 0,
    bytesMissing: 0,
    bytesFetched: 0,
    waiting: 0,
    waits: 0,
    denied: 0,
    p50Ms: null,
    p99Ms: null,
    sourceAway: null,
    trouble: isFinished || phase === 'staged' ? [] : ['No hydrator runs.'],
  };
}

/**
 * Pause, resume or the bandwidth limit, while it runs; changes nothing of a volume that is finished, maybe just now.
 * @throws CargoError WRONG_PHASE when no hydrator runs and something is missing
 */
export async function controlVolume(stateDir: string, request: ControlRequest): Promise<LazyStatus> {
  const status = await askHydrator(stateDir, request);
  if (status !== null) return status;
  if ((await expectRecord(stateDir)).phase === 'finished') return volumeStatus(stateDir);
  throw new CargoError('WRONG_PHASE', `No hydrator runs for ${stateDir}.`);
}

/**
 * Returns when nothing is missing and nothing of the engine is left. A hydrator that has died meanwhile is replaced.
 * @throws CargoError SUSPECT
 */
export async function finishVolume(
  stateDir: string,
  signal: AbortSignal,
  launcher: readonly string[] = [],
): Promise<void> {
  while (true) {
    const { phase, reason, path } = await expectRecord(stateDir);
    if (phase === 'finished' && isIdle(stateDir)) return;
    if (phase === 'suspect') throw new CargoError('SUSPECT', `${path} is suspect: ${reason}`);
    if (phase === 'armed' && isIdle(stateDir)) await armVolume(stateDir, launcher, signal);
    await delay(POLL_MS, undefined, { signal });
  }
}

/** Forgets a volume that is complete, or was never armed. @throws CargoError WRONG_PHASE */
export async function forgetVolume(stateDir: string): Promise<void> {
  const record = await readRecord(stateDir);
  if (record !== null && (record.phase === 'armed' || record.phase === 'suspect')) {
    throw new CargoError('WRONG_PHASE', `${record.path} is ${record.phase}: content is missing.`);
  }
  await dropVolume(stateDir);
}

/**
 * Ends all that protects a volume, complete or not: from then on what is missing reads as zeros. Only for a tree that nobody
 * uses and nobody will: it is about to be removed.
 */
export async function dropVolume(stateDir: string): Promise<void> {
  const limit = performance.now() + END_LIMIT_MS;
  // A hydrator may be about to start a holder. On a disk that does not answer it can't end: then it starts none either.
  for (let all = findProcesses(stateDir); all.length > 0; all = findProcesses(stateDir)) {
    all.forEach(endHolder);
    if (performance.now() >= limit) break;
    await delay(POLL_MS);
  }
  await rm(stateDir, { recursive: true, force: true });
}

function isIdle(stateDir: string): boolean {
  try {
    using _ = lockVolume(stateDir);
    return true;
  } catch {
    return false;
  }
}

function failure(complaint: string): CargoError {
  const line = complaint.trim().split('\n').at(-1) ?? '';
  try {
    return CargoError.fromBody(JSON.parse(line));
  } catch {
    return new CargoError('INTERNAL', `The hydrator ended: ${complaint.trim() || 'it said nothing'}`);
  }
}
