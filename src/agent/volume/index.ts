import type { Duplex } from 'node:stream';
import { CargoError } from '../../api/cargo-error.ts';
import { runJob } from './channel.ts';
import type { RoundProgress, RoundStats, TreeRoot, TreeSize } from './worker-messages.ts';

export type { RoundProgress, RoundStats, TreeRoot, TreeSize } from './worker-messages.ts';

type RoundOptions = {
  /** Authenticated and connected. Left open after success, destroyed after failure. */
  socket: Duplex;
  root: TreeRoot;
  /** Of this migration and mount, on this agent's own disk; what is kept there makes later rounds cheap. */
  stateDir: string;
  round: number;
  signal: AbortSignal;
  onProgress?: (progress: RoundProgress) => void;
};

/**
 * The source's side of one round: scans the tree, sends what differs from what the receiver has, returns when the
 * receiver has acknowledged that all of it is durable. `final`: the container is stopped, so a file that changes under
 * the copy is an error (SOURCE_FILE_CHANGED); before that it is left to the next round. `bwlimit` is in bytes per second.
 * Other errors: PEER_UNREACHABLE, CANCELLED, PROTOCOL_ERROR, CHECKSUM_MISMATCH, DISK_FULL, BLOCKED (a file system is
 * mounted in the tree), NOT_FOUND, INTERNAL; whatever one side throws the other one throws too.
 */
export async function sendRound(
  options: RoundOptions & { final: boolean; bwlimit: number | null },
): Promise<RoundStats> {
  const { socket, root, stateDir, round, final, bwlimit, signal, onProgress } = options;
  const job = { kind: 'send', root, stateDir, round, final } as const;
  return roundStats(await runJob({ socket, job, bwlimit, signal, onProgress }));
}

/**
 * The target's side: makes the tree exactly what the source sends; what the source doesn't have is deleted. May be
 * repeated with the same `stateDir` after any interruption.
 */
export async function receiveRound(options: RoundOptions): Promise<RoundStats> {
  const { socket, root, stateDir, round, signal, onProgress } = options;
  const job = { kind: 'receive', root, stateDir, round } as const;
  return roundStats(await runJob({ socket, job, bwlimit: null, signal, onProgress }));
}

/** Entries (the root not counted) and allocated bytes of regular files, hard links counted once. */
export async function measureTree(root: TreeRoot, signal: AbortSignal): Promise<TreeSize> {
  const { files, bytes } = treeSize(
    await runJob({ socket: null, job: { kind: 'measure', root }, bwlimit: null, signal }),
  );
  return { files, bytes };
}

function roundStats(result: RoundStats | TreeSize): RoundStats {
  if ('totalFiles' in result) return result;
  throw new CargoError('INTERNAL', 'The transfer worker answered with something else.');
}

function treeSize(result: RoundStats | TreeSize): TreeSize {
  if (!('totalFiles' in result)) return result;
  throw new CargoError('INTERNAL', 'The transfer worker answered with something else.');
}
