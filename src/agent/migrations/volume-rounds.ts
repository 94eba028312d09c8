import type { receiveRound, sendRound } from '../volume/index.ts';

export type { RoundProgress, RoundStats } from '../volume/index.ts';

/** How the volume part is called; handed in, so that the shell can be tried without trees on disk. */
export type SendRound = typeof sendRound;
export type ReceiveRound = typeof receiveRound;
