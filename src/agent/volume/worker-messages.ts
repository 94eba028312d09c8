import type { ErrorBody } from '../../api/cargo-error.ts';
import type { FrameHeader } from './frames.ts';

export type TreeRoot = { path: string; isFile: boolean };
export type RoundStats = { files: number; deleted: number; bytes: number; totalFiles: number; totalBytes: number };
export type RoundProgress = { filesDone: number; filesTotal: number; bytesDone: number; bytesTotal: number };
export type TreeSize = { files: number; bytes: number };
/** `changedAtNs`: the newest ctime of the root and all entries, `modifiedAtNs` the newest mtime, ns since the epoch. */
export type TreeMeasure = TreeSize & { changedAtNs: bigint; modifiedAtNs: bigint };
/**
 * `files` and `bytes` were compared and are the same; `changed` entries are not what was sent because somebody at the
 * target has changed them since; `differences` are not what was sent although nobody has. `differing`: paths of the first.
 */
export type VerifyStats = { files: number; bytes: number; changed: number; differences: number; differing: string[] };
export type JobResult = RoundStats | TreeMeasure | VerifyStats;

/**
 * All inodes (numbers, lower and upper halves alternating; of other trees too) that may have changed since the round that left
 * the manifest `base` began.
 */
export type RoundChanges = { base: string; inodes: Uint32Array };

export type WorkerJob =
  | {
      kind: 'send';
      root: TreeRoot;
      stateDir: string;
      round: number;
      final: boolean;
      contentLimit?: number | undefined;
      wholeMs?: number | undefined;
      freshBytes?: number | undefined;
      /** Of the manifest that the round leaves; made by the worker if nobody needs to know it. */
      label?: string | undefined;
      /** A later round will come with a list of changes since this one. */
      isFollowed?: boolean | undefined;
      /** Null or missing: everything is scanned. */
      changes?: RoundChanges | null | undefined;
      /** Scans everything all the same, and compares what both find. */
      audit?: boolean | undefined;
    }
  | { kind: 'receive'; root: TreeRoot; stateDir: string; round: number; isLast?: boolean }
  | { kind: 'measure'; root: TreeRoot }
  | { kind: 'verifyAtSource'; root: TreeRoot; stateDir: string }
  | { kind: 'verifyAtTarget'; root: TreeRoot; stateDir: string };

/** `control[SIGNALS]` counts the messages to the worker, which sleeps on it; `control[STOP]` is 1 to end the worker. */
export type WorkerData = { job: WorkerJob; control: Int32Array };
export const SIGNALS = 0;
export const STOP = 1;

/** Buffers are transferred, never copied; each comes back to the side that made it. */
export type ToWorker =
  | { type: 'frame'; header: FrameHeader; buffer: ArrayBuffer }
  | { type: 'returned'; buffer: ArrayBuffer };

export type FromWorker =
  | { type: 'loaded' }
  | { type: 'send'; header: FrameHeader; buffer: ArrayBuffer; dataStart: number; pooled: boolean }
  | { type: 'consumed'; buffer: ArrayBuffer }
  | { type: 'progress'; progress: RoundProgress }
  | { type: 'dirty' }
  | { type: 'done'; result: JobResult }
  | { type: 'failed'; error: ErrorBody['error'] };
