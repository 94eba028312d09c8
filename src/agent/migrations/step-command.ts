import { agentSteps, type StepCommand, type StepName } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { MigrationRecord } from './record.ts';

const SAFE_KEY = /^[a-z0-9-]{1,64}$/;

/** The checked input of a command. @throws CargoError BAD_REQUEST when key, step and input don't belong together */
export function parseStepInput(key: string, { step, input }: StepCommand): unknown {
  if (!SAFE_KEY.test(key) || (key !== step && !key.startsWith(`${step}-`))) {
    throw new CargoError(
      'BAD_REQUEST',
      `"${key}" is no key of step ${step}: a key is the step's name, or begins with it`,
    );
  }
  const parsed = agentSteps[step].input.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new CargoError('BAD_REQUEST', `the input of step ${step} is not as it should be`, {
    details: parsed.error.issues,
  });
}

/** Steps that lead forward, and the one that has ended them for good once it is done. */
const endedBy: Partial<Record<StepName, StepName>> = {
  serve: 'thaw',
  freeze: 'thaw',
  stage: 'refuse',
  copy: 'refuse',
};

/**
 * Whether a command comes after the way back was gone: one that was held up on its way must not stop a source that runs
 * again, nor fill a target that was cleared.
 */
export function isTooLate({ outcomes, target }: MigrationRecord, step: StepName): boolean {
  const end = endedBy[step];
  if (end === undefined) return false;
  return outcomes[end]?.state === 'done' || (end === 'refuse' && target?.permit === 'refused');
}

/** Why the record of a migration may not be dropped yet, or null: whatever can still be undone needs it. */
export function reasonToKeep({ source, target }: MigrationRecord, runningKey: string | null): string | null {
  if (runningKey !== null) return `step ${runningKey} runs`;
  if (source !== null && source.frozen !== null && !source.released) return 'its source is frozen and not released';
  if (target?.permit === 'unused') return 'its target is neither started nor abandoned';
  if (target?.held === true) return 'its container is held since this host was started again';
  return null;
}
