import type { FaultPoint } from '../src/faults/points.ts';

/** What only data that follows its container can suffer. */
export const lazyFaultNames = [
  'hydrator-kill',
  'holders-kill',
  'one-holder-kill',
  'source-away',
  'target-twice',
  'target-taken',
] as const;
export type LazyFaultName = (typeof lazyFaultNames)[number];

/** Protected, but not started; running, with nobody who drives it on; some of it here, some not. */
export const moments = {
  arm: 'target.arm.effect',
  hydrate: 'server.hydrate.send',
  'hydrate-mid': 'target.hydrate.mid',
} as const satisfies Record<string, FaultPoint>;
export type Moment = keyof typeof moments;
export const momentNames = Object.keys(moments) as Moment[];

export type LazyCell = { name: string; moment: Moment; fault: LazyFaultName; point: FaultPoint };

export function lazyCells(): LazyCell[] {
  return momentNames.flatMap((moment) => lazyFaultNames.map((fault) => lazyCellAt(moment, fault)));
}

export function lazyCellAt(moment: Moment, fault: LazyFaultName): LazyCell {
  return { name: `${moment}/${fault}`, moment, fault, point: moments[moment] };
}
