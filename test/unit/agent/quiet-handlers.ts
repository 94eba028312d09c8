import type { StepHandlers } from '../../../src/agent/migrations/step-context.ts';

/** Handlers that succeed and do nothing. */
export const quietHandlers: StepHandlers = {
  serve: async () => ({}),
  freeze: async () => ({ movedAs: 'c-moved', exitCode: 0, forced: false, stopMs: 1, bases: [] }),
  thaw: async () => ({ running: false }),
  release: async () => ({ removed: [] }),
  stage: async () => ({ containerId: 'c', layersFetched: 0, imageBytes: 0 }),
  copy: async () => ({ files: 0, deleted: 0, bytes: 0, totalFiles: 0, totalBytes: 0, drainMs: 0, applyMs: 0 }),
  start: async () => ({ running: true, health: 'none', startMs: 1, upMs: 1 }),
  arm: async () => ({ files: 0, armMs: 0 }),
  hydrate: async () => ({ files: 0 }),
  refuse: async () => ({}),
  abandon: async () => ({ removed: [], keptAs: null, bases: [] }),
  verify: async () => ({ files: 0, bytes: 0, changed: 0, differences: 0, differing: [] }),
  fence: async () => ({ keptAs: null, removed: [] }),
  finish: async () => ({}),
};
