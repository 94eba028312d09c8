/**
 * Runs every test and prints `N passed, N failed, N skipped` as its last line. A test that is skipped must stand on the
 * committed list test/skips.json with the feature that is missing; anything else skipped is a failure. So is what the
 * tests leave in the directory for temporary files, which is one of their own.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

const Results = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
    }),
  ),
});
const Skips = z.array(z.object({ test: z.string(), missingFeature: z.string().min(1) }));

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'cargo-test-'));
const report = join(scratch, 'results.json');
const temporary = join(scratch, 'tmp');
mkdirSync(temporary);
const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)];
const run = spawnSync(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...args], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TMPDIR: temporary },
});
const failures = summarise();
rmSync(scratch, { recursive: true, force: true });
process.exitCode = failures === 0 && run.status === 0 ? 0 : 1;

function summarise(): number {
  const { testResults } = Results.parse(JSON.parse(readFileSync(report, 'utf8')));
  const tests = testResults.flatMap((file) => file.assertionResults);
  const allowed = new Set(
    Skips.parse(JSON.parse(readFileSync(join(root, 'test/skips.json'), 'utf8'))).map(({ test }) => test),
  );
  const passed = tests.filter(({ status }) => status === 'passed').length;
  const failed = tests.filter(({ status }) => status === 'failed').length;
  const skipped = tests.filter(({ status }) => status !== 'passed' && status !== 'failed');
  const unlisted = skipped.filter(({ fullName }) => !allowed.has(fullName));
  const brokenFiles = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const left = readdirSync(temporary);
  for (const { fullName } of unlisted) console.error(`skipped, but not listed in test/skips.json: ${fullName}`);
  for (const { name, message } of brokenFiles) console.error(`test file could not run: ${name}: ${message ?? ''}`);
  for (const name of left) console.error(`left behind in the directory for temporary files: ${name}`);
  const outside = failed + brokenFiles.length === 0 && run.status !== 0 && unlisted.length === 0 ? 1 : 0;
  const total = failed + unlisted.length + brokenFiles.length + left.length + outside;
  console.log(`${passed} passed, ${total} failed, ${skipped.length - unlisted.length} skipped`);
  return total;
}
