import type { Duplex } from 'node:stream';
import type { StepOutput, StepProgress } from '../../api/agent-steps.ts';

/** One tree: a directory, or for a bind mount of a single file that file. */
export type Root = { path: string; isFile: boolean };
export type RoundProgress = Omit<StepProgress, 'activity'>;
export type RoundResult = StepOutput<'copy'>;

type Round = {
  socket: Duplex;
  root: Root;
  /** Directory for what one round must know of the last one. */
  stateDir: string;
  round: number;
  signal: AbortSignal;
  onProgress: (progress: RoundProgress) => void;
};

/** The source's half of one round of one mount. `bwlimit`: bytes per second. */
export type SendRound = (round: Round & { final: boolean; bwlimit: number | null }) => Promise<RoundResult>;
/** The target's half; afterwards the tree is what the source sent. */
export type ReceiveRound = (round: Round) => Promise<RoundResult>;
