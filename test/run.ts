/**
 * Runs every test, those that wait for Docker hosts beside those that keep a processor busy, and prints
 * `N passed, N failed, N skipped` as its last line. A test that is skipped must stand on the committed list test/skips.json
 * with the feature that is missing; anything else skipped is a failure. So is what the tests leave in the directory for
 * temporary files, which is one of their own.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { z } from 'zod';

const Results = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(
        z.object({ fullName: z.string(), status: z.string(), failureMessages: z.array(z.string()).nullish() }),
      ),
    }),
  ),
});
type TestResult = z.infer<typeof Results>['testResults'][number]['assertionResults'][number];
const Skips = z.array(z.object({ test: z.string(), missingFeature: z.string().min(1) }));

/** Each runs beside the others, with what it prints shown when it has ended. */
const GROUPS = [
  ['--project', 'lab', '--project', 'hosts'],
  ['--project', 'unit', '--project', 'kernel'],
];

const LINES_OF_A_FAILURE = 6;

type Run = { report: string; status: number };

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'cargo-test-'));
const temporary = join(scratch, 'tmp');
mkdirSync(temporary);
// As the agent's launcher does: without it each thread of a test strips types with WebAssembly, and V8 has been seen to
// end a process (ThreadIsolation::UnregisterWasmAllocation) when many threads come and go.
const compiled = join(scratch, 'compiled');
// Ctrl-C reaches the runs too: they take their labs down first.
process.on('SIGINT', () => undefined);
const asked = process.argv.slice(2);
const groups = asked.length > 0 ? [asked] : GROUPS;
const runs = await Promise.all(groups.map(runVitest));
const failures = summarise(runs);
rmSync(scratch, { recursive: true, force: true });
process.exitCode = failures === 0 && runs.every(({ status }) => status === 0) ? 0 : 1;

/** The first group is shown as it goes, so that something is seen to happen. */
async function runVitest(group: readonly string[], index: number): Promise<Run> {
  const report = join(scratch, `results-${index}.json`);
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...group];
  const child = spawn(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...args], {
    cwd: root,
    stdio: index === 0 ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary, NODE_COMPILE_CACHE: compiled },
  });
  const printed: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (piece: Buffer) => printed.push(piece));
  const status = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  process.stdout.write(Buffer.concat(printed));
  return { report, status };
}

/** Once more at the end, where the log of a machine that shows little of it still has them. */
function sayReasons(file: string, results: readonly TestResult[]): void {
  for (const { fullName, failureMessages } of results.filter(({ status }) => status === 'failed')) {
    const reason = (failureMessages ?? []).join('\n').split('\n').slice(0, LINES_OF_A_FAILURE).join('\n    ');
    console.error(`${file}: ${fullName}\n    ${reason}`);
  }
}

/** A line each, last of all. */
function sayFailed(file: string, results: readonly TestResult[]): void {
  for (const { fullName } of results.filter(({ status }) => status === 'failed')) {
    console.error(`failed: ${file}: ${fullName}`);
  }
}

function summarise(ended: readonly Run[]): number {
  const reports = ended.map(({ report }) => report).filter((report) => existsSync(report));
  const testResults = reports.flatMap((report) => Results.parse(JSON.parse(readFileSync(report, 'utf8'))).testResults);
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
  for (const { name, assertionResults } of testResults) sayReasons(relative(root, name), assertionResults);
  for (const { name, assertionResults } of testResults) sayFailed(relative(root, name), assertionResults);
  for (const { fullName } of unlisted) console.error(`skipped, but not listed in test/skips.json: ${fullName}`);
  for (const { name, message } of brokenFiles) console.error(`test file could not run: ${name}: ${message ?? ''}`);
  for (const name of left) console.error(`left behind in the directory for temporary files: ${name}`);
  const outside =
    failed + brokenFiles.length + unlisted.length === 0 && ended.some(({ status }) => status !== 0) ? 1 : 0;
  const total = failed + unlisted.length + brokenFiles.length + left.length + outside;
  console.log(`${passed} passed, ${total} failed, ${skipped.length - unlisted.length} skipped`);
  return total;
}
