import { expect, test } from 'vitest';
import { agentSteps } from '../../../../src/api/agent-steps.ts';
import { SwitchTimes } from '../../../../src/api/migration.ts';
import { addSwitchTimes } from '../../../../src/server/migrations/switch-times.ts';

const none = SwitchTimes.parse({});

test('each answer adds its own parts, in whole milliseconds, and takes none away', () => {
  const freeze = { movedAs: 'db-moved', exitCode: 0, forced: false, stopMs: 551.6, bases: [] };
  const stopped = addSwitchTimes(none, { freeze });
  expect(stopped).toEqual({ ...none, stopMs: 552 });
  const started = { running: true, health: 'healthy', startMs: 1_300, upMs: 300.2 } as const;
  expect(addSwitchTimes(stopped, { start: started })).toEqual({ ...none, stopMs: 552, startMs: 300, healthyMs: 1_000 });
});

test('what an agent of an older version does not say is not known', () => {
  const start = agentSteps.start.output.parse({ running: true, health: 'healthy', startMs: 1_300 });
  const arm = agentSteps.arm.output.parse({ files: 3 });
  expect(addSwitchTimes(none, { start, arm })).toEqual(none);
});
