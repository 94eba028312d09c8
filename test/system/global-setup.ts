import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { stateRoot } from '../../lab/paths.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    lab: string;
  }
}

const cargoLab = join(import.meta.dirname, '../../bin/cargo-lab');
/** Labs of tests end with the number of the process that booted them. */
const OF_A_TEST = /^(?:test|faults|restored|certificates|cut-short|power-[a-z0-9]+|hosts)-(\d+)$/;

/** One lab of three full hosts for all tests that need Docker hosts; each test uses names of its own in it. */
export function setup(project: TestProject): void {
  for (const leftover of leftovers()) execFileSync(cargoLab, ['down', '--name', leftover], { stdio: 'inherit' });
  const lab = `test-${process.pid}`;
  project.provide('lab', lab);
  process.env['CARGO_TEST_LAB'] = lab;
  execFileSync(cargoLab, ['up', '--hosts', '3', '--name', lab], { stdio: 'inherit' });
}

export function teardown(): void {
  execFileSync(cargoLab, ['down', '--name', `test-${process.pid}`], { stdio: 'inherit' });
}

/** Of runs that were interrupted: their processes are gone. */
function leftovers(): string[] {
  if (!existsSync(stateRoot)) return [];
  return readdirSync(stateRoot).filter((name) => {
    const [, pid] = OF_A_TEST.exec(name) ?? [];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
}
