import { descriptorLimit, duplicateAbove, occupyBelow } from '../../linux/descriptors.ts';
import { answerEvent } from '../../linux/fanotify.ts';
import { AT_FDCWD, cstring } from '../../linux/libc.ts';
import { close, O_RDONLY, openAt } from '../../linux/open.ts';

const BANDS = 4;
const BAND_MAX = 16_384;

/** Numbers that one generation of hydrators gives out, at most. */
function bandWidth(): number {
  return Math.min(BAND_MAX, Math.floor(descriptorLimit() / BANDS));
}

/**
 * Keeps the numbers of new events apart from those of events that an earlier hydrator had read: an answer goes by number
 * alone, and would meet the wrong one. Each generation has a band of numbers of its own, used again by the third after it;
 * numbers known to be waiting are taken besides.
 */
export function takeBand(generation: number, ghosts: readonly number[]): void {
  const nothing = openAt(AT_FDCWD, cstring('/dev/null'), O_RDONLY);
  if (generation > 0) occupyBelow(nothing, bandWidth() * (1 + ((generation - 1) % (BANDS - 1))));
  for (const number of ghosts) occupy(nothing, number);
}

/** One that is in use already will not be given out either. */
function occupy(nothing: number, number: number): void {
  const taken = duplicateAbove(nothing, number);
  if (taken !== number) close(taken);
}

/**
 * Answers whatever number may still wait from earlier generations: an event that was read, and not written down before its
 * reader was lost. Only when nothing is missing any more.
 */
export function answerForgotten(group: number, isInUse: (number: number) => boolean): number {
  let answered = 0;
  for (let number = 0; number < bandWidth() * BANDS; number += 1) {
    if (!isInUse(number) && answerEvent(group, number, true)) answered += 1;
  }
  return answered;
}
