import { agentSteps, type StepName, stepNames } from '../api/agent-steps.ts';
import { type Phase, phases } from '../api/migration.ts';

/** A step as the points tell them apart: the round that is taken while the container is stopped is one of its own. */
export type NamedStep = StepName | 'copy-final';
export type Side = 'source' | 'target';

/** Between the effects of a step: where a crash leaves the most to be sorted out. */
const within = [
  'source.round.mid',
  'target.round.mid',
  'source.freeze.stopped',
  'source.freeze.renamed',
  'source.thaw.gate-open',
  'target.stage.image-loaded',
  'target.stage.created',
  'target.start.permit-used',
  'target.start.gate-open',
  'target.start.started',
  'target.abandon.container-removed',
  'target.hydrate.mid',
] as const;

/**
 * A moment of a migration at which a test may strike, in the process that its first word names. At the server: before
 * and after each phase is written, before each step is sent and after its answer. At an agent: before each step, after
 * its effect, after its outcome is on disk, and `within`.
 */
export type FaultPoint =
  | `server.${Phase}.${'before' | 'written'}`
  | `server.${NamedStep}.${'send' | 'answered'}`
  | `${Side}.${NamedStep}.${'before' | 'effect' | 'recorded'}`
  | (typeof within)[number];

/** Not a step of the usual list: the first record of a migration is no change of phase. */
const phasesEntered = phases.filter((phase) => phase !== 'planned');
const namedSteps: readonly NamedStep[] = [...stepNames, 'copy-final'];

/** The name under which a command's points go. */
export function namedStep(step: StepName, input: unknown): NamedStep {
  const isFinal = typeof input === 'object' && input !== null && 'final' in input && input.final === true;
  return step === 'copy' && isFinal ? 'copy-final' : step;
}

export function sideOf(step: NamedStep): Side {
  return step === 'copy-final' ? 'target' : agentSteps[step].side;
}

/** Every point that there is. */
export const faultPoints: readonly FaultPoint[] = [
  ...phasesEntered.flatMap((phase) => [`server.${phase}.before`, `server.${phase}.written`] as const),
  ...namedSteps.flatMap((step) => [`server.${step}.send`, `server.${step}.answered`] as const),
  ...namedSteps.flatMap((step) => {
    const at = `${sideOf(step)}.${step}` as const;
    return [`${at}.before`, `${at}.effect`, `${at}.recorded`] as const;
  }),
  ...within,
];
