import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const LIMIT_MS = 280_000;

/** A protection that is taken out of a copy of the code, and what a test says of it then. */
type Control = { file: string; from: string; to: string; project: string; test: string; title: string; says: string };

const lazyTests = { project: 'hosts', test: 'test/system/migration/lazy.test.ts' };
const controls: [string, Control][] = [
  [
    'others that use the volumes of a removed container are ended',
    {
      ...lazyTests,
      file: 'src/agent/container/taken-away.ts',
      from: 'await endUsers(\n',
      to: 'if (Date.now() < 0) await endUsers(\n',
      title: 'its removal ends the migration',
      says: 'nobody reads what is not whole',
    },
  ],
  [
    'others that use a volume that became suspect are ended',
    {
      ...lazyTests,
      file: 'src/agent/container/lazy-mounts.ts',
      from: 'await this.#endUsers(context, mounts);\n    const',
      to: 'const',
      title: 'protection is lost',
      says: "other: expected 'true' to be 'false'",
    },
  ],
  [
    'others that use a volume that is given up are ended',
    {
      project: 'long',
      test: 'test/system/long/operations.test.ts',
      file: 'src/agent/container/lazy-mounts.ts',
      from: 'if (!whole) await this.#endUsers(context, mounts);\n',
      to: '\n',
      title: 'given up',
      says: 'nothing runs that might read zeros',
    },
  ],
];

test.each(controls)(
  'the tests notice when it is not so that %s',
  { timeout: LIMIT_MS + 20_000 },
  async (_, control) => {
    mkdirSync(join(root, 'dist'), { recursive: true });
    const copy = mkdtempSync(join(root, 'dist/control-'));
    try {
      for (const name of ['src', 'lab', 'bin', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts']) {
        cpSync(join(root, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
      }
      execFileSync('cp', ['-al', join(root, 'node_modules'), join(copy, 'node_modules')]);
      const path = join(copy, control.file);
      const code = readFileSync(path, 'utf8');
      expect(code).toContain(control.from);
      writeFileSync(path, code.replace(control.from, control.to));
      const said = await runTest(copy, control);
      expect(said).toContain(control.says);
      expect(said).toMatch(/Tests .*1 failed/);
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  },
);

function runTest(copy: string, { project, test: file, title }: Control): Promise<string> {
  const args = ['run', '--no-color', '--project', project, file, '-t', title];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')));
  const options = { cwd: copy, env: { ...env, NO_COLOR: '1' }, timeout: LIMIT_MS, maxBuffer: 1 << 26 };
  return new Promise((resolve) => {
    execFile(process.execPath, [join(copy, 'node_modules/vitest/vitest.mjs'), ...args], options, (_, out, err) =>
      resolve(out + err),
    );
  });
}
