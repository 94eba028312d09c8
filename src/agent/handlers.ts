import type { ContainerModule } from './container/module.ts';
import { updateSource } from './container/records.ts';
import { createCopyStep } from './migrations/copy-step.ts';
import type { StepContext, StepHandlers } from './migrations/step-context.ts';
import { createVerifyStep } from './migrations/verify-step.ts';
import type { ReceiveRound, VerifyAtTarget } from './migrations/volume-rounds.ts';
import type { ServedRounds } from './net/served-rounds.ts';

/**
 * All steps. What ends the serving of a migration first ends it on disk, so that nobody may begin anew, then what is
 * still being sent.
 */
export function allHandlers(
  container: ContainerModule,
  volume: { receiveRound: ReceiveRound; verifyAtTarget: VerifyAtTarget },
  rounds: ServedRounds,
): StepHandlers {
  const { handlers } = container;
  const endServing = async (context: StepContext): Promise<void> => {
    if (context.record().source?.serving === true) await updateSource(context, { serving: false });
    await rounds.end(context.migrationId);
  };
  return {
    ...handlers,
    copy: createCopyStep(volume.receiveRound, container),
    verify: createVerifyStep(volume.verifyAtTarget),
    thaw: async (context, input) => {
      await endServing(context);
      return handlers.thaw(context, input);
    },
    release: async (context, input) => {
      await endServing(context);
      return handlers.release(context, input);
    },
  };
}
