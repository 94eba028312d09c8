import { defineConfig } from 'vitest/config';

/** Limits for machines that are slow or shared; what is polled for is there much sooner. */
const real = {
  testTimeout: 180_000,
  hookTimeout: 300_000,
  fileParallelism: false,
  expect: { poll: { timeout: 60_000, interval: 100 } },
};

/**
 * unit: no privileges. kernel: root and a real kernel. lab: the lab itself, each test file with labs of its own. hosts:
 * Cargo on the real Docker hosts of one lab that the global set-up boots. long: likewise, but only in `make long`.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/{unit,model}/**/*.test.ts'], testTimeout: 20_000 } },
      { test: { name: 'kernel', include: ['test/system/{volume,agent,lazy}/**/*.test.ts'], ...real } },
      { test: { name: 'lab', include: ['test/system/{lab,faults}/**/*.test.ts'], ...real } },
      {
        test: {
          name: 'hosts',
          include: ['test/system/{docker,migration}/**/*.test.ts'],
          globalSetup: ['test/system/global-setup.ts'],
          ...real,
        },
      },
      {
        test: {
          name: 'long',
          include: ['test/system/long/**/*.test.ts'],
          globalSetup: ['test/system/global-setup.ts'],
          ...real,
        },
      },
    ],
  },
});
