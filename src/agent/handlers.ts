import type { ContainerModule } from './container/module.ts';
import { createCopyStep } from './migrations/copy-step.ts';
import type { StepHandlers } from './migrations/step-context.ts';
import { createVerifyStep } from './migrations/verify-step.ts';
import type { ReceiveRound, VerifyAtTarget } from './migrations/volume-rounds.ts';
import type { ServedRounds } from './net/served-rounds.ts';

/** All steps. What ends the serving of a migration first ends the rounds that are still being sent. */
export function allHandlers(
  container: ContainerModule,
  volume: { receiveRound: ReceiveRound; verifyAtTarget: VerifyAtTarget },
  rounds: ServedRounds,
): StepHandlers {
  const { handlers } = container;
  return {
    ...handlers,
    copy: createCopyStep(volume.receiveRound),
    verify: createVerifyStep(volume.verifyAtTarget),
    thaw: async (context, input) => {
      await rounds.end(context.migrationId);
      return handlers.thaw(context, input);
    },
    release: async (context, input) => {
      await rounds.end(context.migrationId);
      return handlers.release(context, input);
    },
  };
}
