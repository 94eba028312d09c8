import type { PreflightRequest, StepName } from '../../../src/api/agent-steps.ts';

export type HarnessCommand =
  | { op: 'describe'; container: string }
  | { op: 'preflight'; request: PreflightRequest }
  | { op: 'facts' }
  | { op: 'record'; migrationId: string }
  /** As at boot, before Docker starts. */
  | { op: 'hold'; migrationId: string }
  | {
      op: 'step';
      migrationId: string;
      step: Exclude<StepName, 'copy' | 'verify'>;
      input: unknown;
      /** Ends the step at this moment: 0 before the first write of the record, 1 after it, 2 before the second, … */
      crashAtUpdate?: number;
    }
  | { op: 'image'; migrationId: string; path: string };

/** What the harness asks the test for: the tar of the image, written below this directory of its host. */
export type HarnessQuestion = { asksForImage: string; haveLayers: string[]; directory: string };

/** What the agent's data directory is to the harness. */
export const DATA_DIR = '/tmp/cargo-docker-test';
