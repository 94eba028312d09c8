import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { StepInput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { DataMount } from '../../api/container-definition.ts';
import { CONTENT_LIMIT } from '../lazy/content-limit.ts';
import type { StepContext, StepHandler } from './step-context.ts';
import type { ReceiveRound, RoundProgress, RoundStats } from './volume-rounds.ts';

const PATIENCE_MS = 60_000;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;
const PEER_END_LIMIT_MS = 10_000;

export type TargetMount = { mount: DataMount; path: string };
type Job = { context: StepContext; input: StepInput<'copy'>; receive: ReceiveRound };

/** What the switch will need, as `ContainerModule` has it. */
export type Ahead = {
  /** Called from the second round on: the switch may be next. What it began is waited for before the switch, not in it: it would take the processor from the container while that stops. */
  warm(context: StepContext): Promise<{ loaded: Promise<void> }>;
  /** Called at the end of the last round. */
  connectAhead(context: StepContext): void;
};

/** One round over all data mounts, one after the other, pulled from the source. */
export function createCopyStep(receive: ReceiveRound, ahead: Ahead | null = null): StepHandler<'copy'> {
  return async (context, input) => {
    const warmed =
      input.round > 1 ? await ahead?.warm(context).catch((error: unknown) => tellCold(context, error)) : null;
    const mounts = targetMounts(context);
    const results: RoundStats[] = [];
    const began = performance.now();
    let drainMs = 0;
    for (const { mount, path } of mounts) {
      const progress = new CopyProgress(context, mounts, results, mount);
      results.push(await copyPatiently({ context, input, receive }, { mount, path }, progress));
      drainMs += progress.drainMs;
    }
    if (!input.final) await warmed?.loaded;
    else connect(context, ahead);
    return { ...sum(results), drainMs, applyMs: performance.now() - began - drainMs };
  };
}

/** All is here, whatever comes of it. */
function connect(context: StepContext, ahead: Ahead | null): void {
  try {
    ahead?.connectAhead(context);
  } catch (error) {
    context.log.warn({ err: error }, 'the switch will take longer');
  }
}

/** @throws CargoError BLOCKED: better now than when the container is down */
function tellCold(context: StepContext, error: unknown): null {
  if (error instanceof CargoError && error.code === 'BLOCKED') throw error;
  context.log.warn({ err: error }, 'the switch will take longer');
  return null;
}

/** Where the container's data is on this host. @throws CargoError WRONG_PHASE when nothing was staged */
export function targetMounts(context: StepContext): TargetMount[] {
  const { definition, target } = context.record();
  if (definition === null || target === null) {
    throw new CargoError('WRONG_PHASE', 'nothing was staged for this migration here');
  }
  return definition.mounts.map((mount) => {
    const here = target.mountPaths.find(({ index }) => index === mount.index);
    if (here === undefined) throw new CargoError('INTERNAL', `stage left no place for the data of ${mount.name}`);
    return { mount, path: here.path };
  });
}

/** A source that can't be reached is waited for a while: a round that begins again sends only what is missing. */
async function copyPatiently(job: Job, target: TargetMount, progress: CopyProgress): Promise<RoundStats> {
  const { log, signal } = job.context;
  let giveUpAt: number | null = null;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await copyOnce(job, target, (round) => progress.report(round));
    } catch (error) {
      signal.throwIfAborted();
      giveUpAt ??= Date.now() + PATIENCE_MS;
      const mayPass = error instanceof CargoError && error.code === 'PEER_UNREACHABLE' && Date.now() < giveUpAt;
      if (!mayPass) throw error;
      log.warn({ mount: target.mount.name, reason: error.message, waitMs }, 'copying will be tried again');
      progress.wait(error.message);
    }
    await delay(waitMs, undefined, { signal });
  }
}

async function copyOnce(
  { context, input, receive }: Job,
  { mount, path }: TargetMount,
  onProgress: (progress: RoundProgress) => void,
): Promise<RoundStats> {
  const { directory, signal } = context;
  const { round, final, bwlimit, wholeMs, freshBytes } = input;
  const stateDir = join(directory, `mount-${mount.index}`);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const connection = await context.source().openRound(
    {
      mountIndex: mount.index,
      round,
      final,
      bwlimit,
      ...(mount.strategy === 'lazy' ? { contentLimit: CONTENT_LIMIT, wholeMs, freshBytes } : {}),
    },
    signal,
  );
  const { socket } = connection;
  try {
    const root = { path, isFile: mount.isFile };
    const result = await receive({ ...connection, root, stateDir, round, final, signal, onProgress });
    const ended = untilPeerEnds(socket, signal).then(() => socket.destroy());
    // After the final round there is no next one, and each wait is downtime.
    if (!final) await ended;
    return result;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/**
 * The source keeps what it sent for the next round once it has heard that all arrived, then ends the connection: closed
 * from here before that, the round would count as lost there. All is well here either way, so the wait has a limit.
 */
async function untilPeerEnds(socket: Duplex, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(PEER_END_LIMIT_MS)]);
  socket.resume();
  await finished(socket, { writable: false, signal: limit }).catch(() => {});
}

/** What is done of all mounts: those before this one count as copied, those after it with what the plan measured. */
class CopyProgress {
  readonly #context: StepContext;
  readonly #activity: string;
  readonly #done: RoundStats;
  readonly #after: { files: number; bytes: number };
  readonly #began = performance.now();
  #last: RoundProgress;
  /** Until the source had said what differs. */
  drainMs = 0;

  constructor(context: StepContext, mounts: readonly TargetMount[], before: readonly RoundStats[], current: DataMount) {
    const after = mounts.slice(before.length + 1).map(({ mount }) => mount);
    this.#context = context;
    this.#activity = `copying ${current.kind === 'volume' ? 'volume' : 'directory'} ${current.name}`;
    this.#done = sum(before);
    this.#after = {
      files: after.reduce((total, { files }) => total + files, 0),
      bytes: after.reduce((total, { bytes }) => total + bytes, 0),
    };
    this.#last = { filesDone: 0, filesTotal: current.files, bytesDone: 0, bytesTotal: current.bytes };
  }

  report(round: RoundProgress): void {
    this.#last = round;
    if (this.drainMs === 0) this.drainMs = performance.now() - this.#began;
    this.#tell(this.#activity);
  }

  /** Nothing arrives at the moment: that is what is told until something does. */
  wait(reason: string): void {
    this.#tell(`waiting: ${reason}`);
  }

  #tell(activity: string): void {
    const { filesDone, filesTotal, bytesDone, bytesTotal } = this.#last;
    this.#context.report({
      activity,
      filesDone: this.#done.totalFiles + filesDone,
      filesTotal: this.#done.totalFiles + filesTotal + this.#after.files,
      bytesDone: this.#done.totalBytes + bytesDone,
      bytesTotal: this.#done.totalBytes + bytesTotal + this.#after.bytes,
    });
  }
}

function sum(results: readonly RoundStats[]): RoundStats {
  const total = { files: 0, deleted: 0, bytes: 0, totalFiles: 0, totalBytes: 0 };
  for (const result of results) {
    total.files += result.files;
    total.deleted += result.deleted;
    total.bytes += result.bytes;
    total.totalFiles += result.totalFiles;
    total.totalBytes += result.totalBytes;
  }
  return total;
}
