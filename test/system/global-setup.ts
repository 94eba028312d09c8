import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    lab: string;
  }
}

const cargoLab = join(import.meta.dirname, '../../bin/cargo-lab');

/** One lab of three full hosts for all tests that need Docker hosts; each test uses names of its own in it. */
export function setup(project: TestProject): void {
  const lab = `test-${process.pid}`;
  project.provide('lab', lab);
  process.env['CARGO_TEST_LAB'] = lab;
  execFileSync(cargoLab, ['up', '--hosts', '3', '--name', lab], { stdio: 'inherit' });
}

export function teardown(): void {
  execFileSync(cargoLab, ['down', '--name', `test-${process.pid}`], { stdio: 'inherit' });
}
