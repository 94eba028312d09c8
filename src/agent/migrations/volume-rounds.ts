import type { receiveRound, sendRound, verifyAtSource, verifyAtTarget } from '../volume/index.ts';

export type { RoundProgress, RoundStats, VerifyStats } from '../volume/index.ts';

/** How the volume part is called; handed in, so that the shell can be tried without trees on disk. */
export type SendRound = typeof sendRound;
export type ReceiveRound = typeof receiveRound;
export type VerifyAtSource = typeof verifyAtSource;
export type VerifyAtTarget = typeof verifyAtTarget;
