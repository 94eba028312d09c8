import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { CargoError } from '../../api/cargo-error.ts';
import type { ChangeLog } from './change-log.ts';
import { runJob } from './channel.ts';
import { TargetState } from './receive-round.ts';
import type { SealKeys } from './sealing.ts';
import { StateFile } from './state-file.ts';
import type {
  JobResult,
  RoundChanges,
  RoundProgress,
  RoundStats,
  TreeMeasure,
  TreeRoot,
  TreeSize,
  VerifyStats,
} from './worker-messages.ts';

export { ChangeLog } from './change-log.ts';
export { unprotectTree } from './protection.ts';
export type { SealKeys } from './sealing.ts';
export { warmWorkers } from './spare-worker.ts';
export type { RoundProgress, RoundStats, TreeRoot, TreeSize, VerifyStats } from './worker-messages.ts';

export type RoundConnection = {
  /** Connected to a peer who has proved who it is. Read from by its `data` events alone, after it is resumed. */
  socket: Duplex;
  /** Where the connection itself is not encrypted, its frames are, with these. */
  keys: SealKeys | null;
};

/** The connection is left open after success, destroyed after failure. */
type RoundOptions = RoundConnection & {
  root: TreeRoot;
  /** Of this migration and mount, on this agent's own disk; what is kept there makes later rounds cheap. */
  stateDir: string;
  round: number;
  signal: AbortSignal;
  onProgress?: (progress: RoundProgress) => void;
};

type SendOptions = RoundOptions & {
  final: boolean;
  bwlimit: number | null;
  contentLimit?: number | undefined;
  wholeMs?: number | undefined;
  freshBytes?: number | undefined;
  /** Of this tree, the same for all its rounds: then the final one looks only at what was changed. */
  log?: ChangeLog | undefined;
  /** Told why a final round scans the whole tree although there is a log. */
  onWholeScan?: ((reason: string) => void) | undefined;
  /** The final round scans the tree all the same, and fails where the log missed something. */
  audit?: boolean | undefined;
};

/**
 * The source's side of one round: scans the tree, sends what differs from what the receiver has, returns when the
 * receiver has acknowledged that all of it is durable. `final`: the container is stopped, so a file that changes under
 * the copy is an error (SOURCE_FILE_CHANGED); before that it is left to the next round. `bwlimit` is in bytes per second.
 * Of files larger than `contentLimit` bytes only the outline travels: at the receiver they are one hole of the same size. For
 * the first `wholeMs` of the round they travel with their content all the same, and one that is begun is brought to its end; so do,
 * in any case, up to `freshBytes` of those that were changed last.
 * Other errors: PEER_UNREACHABLE, CANCELLED, PROTOCOL_ERROR, CHECKSUM_MISMATCH, DISK_FULL, BLOCKED (a file system is
 * mounted in the tree), NOT_FOUND, INTERNAL; whatever one side throws the other one throws too.
 */
export async function sendRound(options: SendOptions): Promise<RoundStats> {
  const { socket, keys, root, stateDir, round, final, bwlimit, log, signal, onProgress } = options;
  const { contentLimit, wholeMs, freshBytes, audit } = options;
  const label = randomUUID();
  const changes = final ? await changesOf(options) : null;
  if (!final) await log?.begin(label);
  const isFollowed = !final && log !== undefined;
  const which = { contentLimit, wholeMs, freshBytes, changes, audit };
  const job = { kind: 'send', root, stateDir, round, final, label, isFollowed, ...which } as const;
  const result = await runJob({ socket, keys, job, bwlimit, signal, onProgress });
  if (!final) log?.acknowledge(label);
  return resultOf<RoundStats>(result, 'totalFiles');
}

async function changesOf({ log, onWholeScan }: SendOptions): Promise<RoundChanges | null> {
  if (log === undefined) return null;
  const changes = await log.changes();
  if ('base' in changes) return changes;
  onWholeScan?.(changes.reason);
  return null;
}

/**
 * The target's side: makes the tree exactly what the source sends; what the source doesn't have is deleted. May be
 * repeated with the same `stateDir` after any interruption. The first progress is told when the source has said what differs.
 * `final`: no other round is expected.
 */
export async function receiveRound(options: RoundOptions & { final?: boolean }): Promise<RoundStats> {
  const { socket, keys, root, stateDir, round, final = false, signal, onProgress } = options;
  const job = { kind: 'receive', root, stateDir, round, isLast: final } as const;
  return resultOf<RoundStats>(await runJob({ socket, keys, job, bwlimit: null, signal, onProgress }), 'totalFiles');
}

export type VerifyOptions = Pick<RoundOptions, 'socket' | 'keys' | 'root' | 'stateDir' | 'signal'>;

/**
 * The source's side of a verification: compares what the target has with what was sent in the last round. Neither tree
 * is changed. Throws as a round does, and WRONG_PHASE when no round was completed.
 */
export async function verifyAtSource({ socket, keys, root, stateDir, signal }: VerifyOptions): Promise<VerifyStats> {
  const job = { kind: 'verifyAtSource', root, stateDir } as const;
  return resultOf<VerifyStats>(await runJob({ socket, keys, job, bwlimit: null, signal }), 'differing');
}

/** The target's side: reads its tree, which may be in use. Both sides return the same. */
export async function verifyAtTarget({ socket, keys, root, stateDir, signal }: VerifyOptions): Promise<VerifyStats> {
  const job = { kind: 'verifyAtTarget', root, stateDir } as const;
  return resultOf<VerifyStats>(await runJob({ socket, keys, job, bwlimit: null, signal }), 'differing');
}

/** Entries (the root not counted) and allocated bytes of regular files, hard links counted once. */
export async function measureTree(root: TreeRoot, signal: AbortSignal): Promise<TreeSize> {
  const { files, bytes } = await measure(root, signal);
  return { files, bytes };
}

async function measure(root: TreeRoot, signal: AbortSignal): Promise<TreeMeasure> {
  const job = { kind: 'measure', root } as const;
  return resultOf<TreeMeasure>(await runJob({ socket: null, keys: null, job, bwlimit: null, signal }), 'changedAtNs');
}

/** The name of the last round that this side has received; the source knows it by that. @throws CargoError WRONG_PHASE when there is none */
export function receivedRound(stateDir: string): string {
  const state = new StateFile(stateDir, 'target.json', TargetState).read();
  if (state === null) throw new CargoError('WRONG_PHASE', `no round has been received in ${stateDir}`);
  return state.state;
}

/**
 * At the target: whether anybody has changed anything in the tree since the last round of copying was complete. Where the
 * content followed (`isLazy`), that has moved the ctime of every file, and no mtime.
 */
export async function hasChangedSinceCopy(
  root: TreeRoot,
  { stateDir, isLazy }: { stateDir: string; isLazy: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  const copiedAt = new StateFile(stateDir, 'target.json', TargetState).writtenAt();
  if (copiedAt === null) return true;
  const { changedAtNs, modifiedAtNs } = await measure(root, signal);
  return (isLazy ? modifiedAtNs : changedAtNs) > copiedAt;
}

/** Each kind of job answers with its own kind of result, known by one of its fields. */
function resultOf<T extends JobResult>(result: JobResult, field: keyof T): T {
  if (field in result) return result as T;
  throw new CargoError('INTERNAL', 'The transfer worker answered with something else.');
}
