import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryDirectory } from './temporary-directory.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../../../src/agent/small-memory.sh', import.meta.url));
const isRoot = process.getuid?.() === 0;

/** An installation of one small program. `launch` says which cache the program would get, and what was complained of. */
async function installation() {
  const directory = await temporaryDirectory();
  const root = join(directory.path, 'root');
  for (const folder of ['src', 'bin']) await mkdir(join(root, folder), { recursive: true });
  // Without it Node.js asks the directories above which kind of module this is, and how much it compiles depends on them.
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  await writeFile(join(root, 'src/one.ts'), 'const one: number = 1;\nconsole.log(one);\n');
  const launch = async (cache: string): Promise<{ cache: string; said: string }> => {
    const env = {
      ...process.env,
      CARGO_CODE_CACHE: cache,
      root,
      node: process.execPath,
      name: 'x',
      programs: 'one.ts',
    };
    const { stdout, stderr } = await run('sh', ['-c', `. ${script}; printf %s "$NODE_COMPILE_CACHE"`], { env });
    return { cache: stdout, said: stderr };
  };
  return { path: directory.path, root, launch, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

const everything = async (path: string): Promise<string[]> => (await readdir(path, { recursive: true })).sort();

test('a cache that is missing is made for its owner alone, and filled before the program starts', async () => {
  await using here = await installation();
  const cache = join(here.path, 'deep/cache');
  expect(await here.launch(cache)).toEqual({ cache, said: '' });
  const { stdout } = await run('find', [cache, '-perm', '/077']);
  expect(stdout).toBe('');
  // The stamp, Node's own directory, and in there what was made of one.ts: its types stripped, and compiled.
  expect(await everything(cache)).toHaveLength(4);
});

test('it is filled anew when the code has changed, and only then', async () => {
  await using here = await installation();
  const cache = join(here.path, 'cache');
  await here.launch(cache);
  const filled = await everything(cache);
  await writeFile(join(here.root, 'src/two.ts'), 'export const two: number = 2;\n');
  await writeFile(join(here.root, 'src/one.ts'), "import { two } from './two.ts';\nconsole.log(two);\n");
  // A tarball brings old times of modification along.
  for (const file of ['one.ts', 'two.ts']) await utimes(join(here.root, 'src', file), 1, 1);
  await here.launch(cache);
  const refilled = await everything(cache);
  expect(refilled).toHaveLength(filled.length + 2);
  const stamp = refilled.find((name) => name.startsWith('x-')) ?? '';
  const later = new Date(Date.now() + 60_000);
  await utimes(join(cache, stamp), later, later);
  await writeFile(join(here.root, 'src/one.ts'), 'console.log(3);\n');
  await here.launch(cache);
  expect(await everything(cache)).toEqual(refilled);
});

test('two installations share a directory and know their own parts of it', async () => {
  await using here = await installation();
  await using there = await installation();
  const cache = join(here.path, 'cache');
  await here.launch(cache);
  const before = await everything(cache);
  await there.launch(cache);
  expect((await everything(cache)).length).toBe(before.length + 3);
});

const unsafe: { name: string; make: (cache: string) => Promise<unknown>; needsRoot?: true }[] = [
  { name: 'that the group may write to', make: (cache) => chmod(cache, 0o770) },
  { name: 'that everybody may write to', make: (cache) => chmod(cache, 0o777) },
  { name: 'that everybody may write to, but for renaming', make: (cache) => chmod(cache, 0o1777) },
  { name: "that is another user's", make: (cache) => chown(cache, 1234, 1234), needsRoot: true },
  {
    name: 'in a directory where anybody may put another in its place',
    make: (cache) => chmod(join(cache, '..'), 0o777),
  },
  {
    name: 'with a file that others may write to',
    make: (cache) => writeFile(join(cache, 'x'), '').then(() => chmod(join(cache, 'x'), 0o666)),
  },
  {
    name: "with another user's file",
    make: (cache) => writeFile(join(cache, 'x'), '').then(() => chown(join(cache, 'x'), 1234, 1234)),
    needsRoot: true,
  },
  {
    name: 'that is a file',
    make: (cache) =>
      writeFile(join(cache, 'x'), '').then(() => symlink(join(cache, 'x'), join(cache, '../cache-link'))),
  },
];

for (const { name, make, needsRoot } of unsafe) {
  test.runIf(isRoot || !needsRoot)(`a cache ${name} is not used`, async () => {
    await using here = await installation();
    const cache = join(here.path, 'inner/cache');
    await mkdir(cache, { recursive: true, mode: 0o700 });
    await make(cache);
    const before = await everything(cache);
    const link = name.endsWith('is a file') ? join(here.path, 'inner/cache-link') : cache;
    const { cache: used, said } = await here.launch(link);
    expect(used).toBe('');
    if (isRoot) expect(said).toContain('goes without a cache of compiled code');
    expect(await everything(cache)).toEqual(before);
  });
}

test('a link to a safe directory is followed once, for good', async () => {
  await using here = await installation();
  const cache = join(here.path, 'cache');
  await mkdir(cache, { mode: 0o700 });
  await symlink(cache, join(here.path, 'link'));
  expect(await here.launch(join(here.path, 'link'))).toEqual({ cache, said: '' });
});

test("a cache that can't be made, and none at all, keep nothing from starting", async () => {
  await using here = await installation();
  expect((await here.launch('/proc/no-cache')).cache).toBe('');
  expect(await here.launch('')).toEqual({ cache: '', said: '' });
});

test('the code of every thread is among what the launchers fill the cache with', async () => {
  const sources = fileURLToPath(new URL('../../../src', import.meta.url));
  const threads: string[] = [];
  for (const name of await readdir(join(sources, 'agent'), { recursive: true })) {
    if (!name.endsWith('.ts')) continue;
    const file = join(sources, 'agent', name);
    const text = await readFile(file, 'utf8');
    for (const [, thread = ''] of text.matchAll(/new Worker\(new URL\('([^']+)'/g)) {
      threads.push(relative(sources, join(dirname(file), thread)));
    }
  }
  const launched = await Promise.all(
    ['cargo-agent', 'cargo-lazy'].map((name) => readFile(join(sources, '../bin', name), 'utf8')),
  );
  const filled = launched.flatMap((text) => (/^programs='(.*)'$/m.exec(text)?.[1] ?? '').split(' '));
  expect(threads.length).toBeGreaterThan(2);
  expect(threads.filter((thread) => !filled.includes(thread))).toEqual([]);
});
