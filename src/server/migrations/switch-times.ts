import type { StepOutput } from '../../api/agent-steps.ts';
import type { SwitchTimes } from '../../api/migration.ts';

/** What the steps of the switch answered, as far as they are done. */
export type SwitchOutputs = { [S in 'freeze' | 'copy' | 'arm' | 'start']?: StepOutput<S> | null | undefined };

/** `known`, and what the answers add: they outlive any restart, of the server and of the agents. */
export function addSwitchTimes(known: SwitchTimes, { freeze, copy, arm, start }: SwitchOutputs): SwitchTimes {
  return {
    stopMs: whole(freeze?.stopMs) ?? known.stopMs,
    drainMs: whole(copy?.drainMs) ?? known.drainMs,
    applyMs: whole(copy?.applyMs) ?? known.applyMs,
    armMs: whole(arm?.armMs) ?? known.armMs,
    startMs: whole(start?.upMs) ?? known.startMs,
    healthyMs: (start?.health === 'healthy' ? whole(minus(start.startMs, start.upMs)) : null) ?? known.healthyMs,
  };
}

function whole(ms: number | null | undefined): number | null {
  return ms == null ? null : Math.round(ms);
}

function minus(ms: number, part: number | null): number | null {
  return part === null ? null : ms - part;
}
