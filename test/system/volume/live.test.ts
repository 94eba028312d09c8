import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { writeBack } from '../../../src/linux/sync.ts';
import { TreePair } from './rounds.ts';
import { snapshot } from './snapshot.ts';

/** A helper process that does something to a tree until it is ended. */
class Helper implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(code: string, ...args: string[]) {
    this.#process = spawn('python3', ['-u', '-c', code, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#process.stdout === null) throw new Error('no output');
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** Sends one line and waits for the answer. */
  async ask(line: string): Promise<void> {
    this.#process.stdin?.write(`${line}\n`);
    await this.#lines.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

const mmapWriter = `
import mmap, sys
f = open(sys.argv[1], 'r+b')
m = mmap.mmap(f.fileno(), 0)
for line in sys.stdin:
    m[int(line):int(line) + 5] = b'DIRTY'
    print('stored')
`;

/** Until a change now would get another ctime than the last one, without being called racy for it. */
async function untilQuiet(path: string): Promise<void> {
  while (Date.now() - fs.statSync(path).ctimeMs < 200) await delay(20);
}

test('what a process stores through a mapping that stays dirty arrives in the next round', async () => {
  using pair = new TreePair();
  const path = join(pair.source, 'mapped');
  fs.writeFileSync(path, Buffer.alloc(1 << 20, 'x'));
  await using writer = new Helper(mmapWriter, path);
  await writer.ask('5000');
  await untilQuiet(path);
  await pair.round();
  await writer.ask('5100');
  await untilQuiet(path);
  const second = await pair.round();
  expect(second.bytes).toBe(65536);
  expect(fs.readFileSync(join(pair.target, 'mapped'))).toEqual(fs.readFileSync(path));
});

test('control: without a write-back after the stat such a store leaves no trace in size, mtime and ctime', async () => {
  using pair = new TreePair();
  const path = join(pair.source, 'mapped');
  fs.writeFileSync(path, Buffer.alloc(1 << 20, 'x'));
  const fd = fs.openSync(path, 'r');
  writeBack(fd);
  const trace = (): bigint[] => {
    const { size, mtimeNs, ctimeNs } = fs.fstatSync(fd, { bigint: true });
    return [size, mtimeNs, ctimeNs];
  };
  await using writer = new Helper(mmapWriter, path);
  await writer.ask('5000');
  await untilQuiet(path);
  const before = trace();
  await writer.ask('5100');
  expect(trace()).toEqual(before);
  writeBack(fd);
  await writer.ask('5200');
  expect(trace()).not.toEqual(before);
  fs.closeSync(fd);
});

test('a file that changes during the final copy is an error that names it', async () => {
  using pair = new TreePair();
  const path = join(pair.source, 'log');
  fs.writeFileSync(path, Buffer.alloc(4 << 20, 'x'));
  await using writer = new Helper(
    "import sys\nf = open(sys.argv[1], 'ab', 0)\nsys.stdin.readline(); print('on')\nwhile True: f.write(b'line')",
    path,
  );
  await writer.ask('go');
  const [sent, received] = await pair.attempt({ final: true });
  for (const side of [sent, received]) {
    expect(side).toMatchObject({ status: 'rejected', reason: { code: 'SOURCE_FILE_CHANGED' } });
    expect(String(side.status === 'rejected' && side.reason.message)).toContain('/log was changed');
  }
});

test('rounds of a tree that is being changed end, and the last one after it stopped is exact', async () => {
  using pair = new TreePair();
  const churn = `
import os, random, sys
os.chdir(sys.argv[1]); rnd = random.Random(7)
sys.stdin.readline(); print('on')
def name(): return rnd.choice('abcdefgh')
def path(): return '/'.join(name() for _ in range(rnd.randint(1, 3)))
while True:
    try:
        p, q, act = path(), path(), rnd.randint(0, 8)
        if act == 0: os.makedirs(p, exist_ok=True)
        elif act <= 2: open(p, 'wb').write(rnd.randbytes(rnd.randint(0, 200000)))
        elif act == 3: os.rename(p, q)
        elif act == 4: os.link(p, q)
        elif act == 5: os.unlink(p)
        elif act == 6: os.rmdir(p)
        elif act == 7: os.symlink(q, p)
        else: os.truncate(p, rnd.randint(0, 300000))
    except OSError: pass
`;
  {
    await using writer = new Helper(churn, pair.source);
    await writer.ask('go');
    for (let round = 0; round < 3; round += 1) await pair.round();
  }
  await pair.round({ final: true });
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

const swapper = `
import os, sys
os.chdir(sys.argv[1]); sys.stdin.readline(); print('on')
while True:
    try:
        os.rename('dir', 'real'); os.rename('link', 'dir'); os.rename('dir', 'link'); os.rename('real', 'dir')
        os.rename('file', 'kept'); os.rename('file-link', 'file'); os.rename('file', 'file-link'); os.rename('kept', 'file')
    except OSError: pass
`;

function plantSwapped(tree: string, outside: string): void {
  fs.mkdirSync(join(tree, 'dir'));
  fs.writeFileSync(join(tree, 'dir/secret'), 'mine');
  fs.writeFileSync(join(tree, 'file'), 'mine');
  fs.symlinkSync(outside, join(tree, 'link'));
  fs.symlinkSync(join(outside, 'secret'), join(tree, 'file-link'));
}

test('a source that swaps its names for symlinks gives nothing away from outside', async () => {
  using pair = new TreePair();
  const outside = join(pair.directory, 'outside');
  fs.mkdirSync(outside);
  fs.writeFileSync(join(outside, 'secret'), 'TOP-SECRET');
  plantSwapped(pair.source, outside);
  await using attacker = new Helper(swapper, pair.source);
  await attacker.ask('go');
  for (let round = 0; round < 6; round += 1) {
    await pair.round();
    const found = execFileSync('find', [pair.target, '-type', 'f', '-exec', 'cat', '{}', '+'], { encoding: 'utf8' });
    expect(found).not.toContain('TOP-SECRET');
  }
});

test('a target whose names are swapped for symlinks while it receives is not left', async () => {
  using pair = new TreePair();
  const outside = join(pair.directory, 'outside');
  fs.mkdirSync(outside);
  fs.writeFileSync(join(outside, 'secret'), 'keep me');
  const before = snapshot(outside);
  plantSwapped(pair.target, outside);
  await using attacker = new Helper(swapper, pair.target);
  await attacker.ask('go');
  for (let round = 0; round < 6; round += 1) {
    pair.forget();
    fs.mkdirSync(join(pair.source, 'dir'), { recursive: true });
    for (const name of ['dir/secret', 'file', `dir/new-${round}`]) {
      fs.writeFileSync(join(pair.source, name), `from the source ${round}`);
    }
    await pair.attempt();
    if (!fs.existsSync(join(pair.target, 'link'))) plantAgain(pair.target, outside);
    expect(snapshot(outside)).toEqual(before);
  }
});

function plantAgain(tree: string, outside: string): void {
  try {
    fs.symlinkSync(outside, join(tree, 'link'));
    fs.symlinkSync(join(outside, 'secret'), join(tree, 'file-link'));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
