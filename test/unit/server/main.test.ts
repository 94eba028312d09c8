import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseJoinToken } from '../../../src/api/join.ts';
import { version } from '../../../src/version.ts';
import { temporaryDir } from './temporary-dir.ts';

const main = fileURLToPath(new URL('../../../src/server/main.ts', import.meta.url));

type Run = {
  child: ChildProcess;
  log: () => string;
  line: (text: string) => Promise<void>;
  ended: Promise<number | null>;
};

/** The program as bin/cargo-server starts it. */
function run(...options: string[]): Run & AsyncDisposable {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...options]);
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  child.stderr.on('data', (chunk) => (text += chunk));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return {
    child,
    ended,
    log: () => text,
    line: (wanted) => expect.poll(() => text, { timeout: 10_000, interval: 20 }).toContain(wanted),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

const onLoopback = (dir: string): string[] => ['--listen', '127.0.0.1:0', '--data-dir', dir];

test('--version and --help answer and end', async () => {
  await using asked = run('--version');
  expect([await asked.ended, asked.log().trim()]).toEqual([0, version]);
  await using helped = run('--help');
  expect(await helped.ended).toBe(0);
  for (const option of ['--listen', '0.0.0.0:5000', '--data-dir', '--plain-http', '--san', '--log-level']) {
    expect(helped.log()).toContain(option);
  }
});

describe('the first start', () => {
  test('makes CA, tokens and database, for their owner alone', async () => {
    await using dir = await temporaryDir();
    const data = join(dir.path, 'data');
    await using server = run(...onLoopback(data), '--log-level', 'trace');
    await server.line('cargo-server is ready');
    expect((await stat(data)).mode & 0o777).toBe(0o700);
    const names = (await readdir(data)).filter((name) => !name.startsWith('cargo.db-')).sort();
    expect(names).toEqual([
      'admin-token',
      'backup.sock',
      'ca.key',
      'ca.pem',
      'cargo.db',
      'join-token',
      'read-token',
      'server.key',
      'server.pem',
    ]);
    for (const name of await readdir(data))
      expect([name, (await stat(join(data, name))).mode & 0o777]).toEqual([name, 0o600]);
    const token = await readFile(join(data, 'join-token'), 'utf8');
    expect(parseJoinToken(token).caSha256).toMatch(/^[0-9a-f]{64}$/);
    for (const secret of ['admin-token', 'read-token', 'join-token']) {
      expect(server.log()).not.toContain((await readFile(join(data, secret), 'utf8')).trim());
    }
  });

  test('may be killed anywhere: the next start ends with everything there', { timeout: 60_000 }, async () => {
    await using dir = await temporaryDir();
    for (const afterMs of [150, 250, 300, 350, 400, 450, 500, 600]) {
      const data = join(dir.path, String(afterMs));
      await using first = run(...onLoopback(data));
      await delay(afterMs);
      await first[Symbol.asyncDispose]();
      await using second = run(...onLoopback(data));
      await second.line('cargo-server is ready');
      const names = await readdir(data);
      expect(names.filter((name) => name.endsWith('.unfinished'))).toEqual([]);
      for (const name of ['ca.pem', 'ca.key', 'server.pem', 'admin-token', 'join-token']) expect(names).toContain(name);
      parseJoinToken(await readFile(join(data, 'join-token'), 'utf8'));
    }
  });

  test('is the only one that makes a join token, and later starts keep the CA and the tokens', async () => {
    await using dir = await temporaryDir();
    const read = (name: string): Promise<string> => readFile(join(dir.path, name), 'utf8');
    const seen: string[][] = [];
    for (let start = 0; start < 2; start += 1) {
      await using server = run(...onLoopback(dir.path));
      await server.line('cargo-server is ready');
      seen.push(await Promise.all(['ca.pem', 'server.pem', 'admin-token', 'read-token', 'join-token'].map(read)));
    }
    expect(seen[1]).toEqual(seen[0]);
  });
});

test('a second server on the same data directory is refused with a sentence', async () => {
  await using dir = await temporaryDir();
  await using first = run(...onLoopback(dir.path));
  await first.line('cargo-server is ready');
  await using second = run(...onLoopback(dir.path));
  expect(await second.ended).toBe(4);
  expect(second.log()).toMatch(
    /^cargo-server: another process has .*cargo\.db open: is a cargo-server running already\?\n$/,
  );
  expect(first.child.exitCode).toBeNull();
});

test('SIGTERM ends it cleanly within seconds, even while clients wait', async () => {
  await using dir = await temporaryDir();
  await using server = run(...onLoopback(dir.path), '--plain-http', '127.0.0.1:0');
  await server.line('cargo-server is ready');
  const port = /"plainHttp":\{"host":"127.0.0.1","port":(\d+)\}/.exec(server.log())?.[1];
  const events = await fetch(`http://127.0.0.1:${port}/v1/events`);
  const startedAt = Date.now();
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
  expect(Date.now() - startedAt).toBeLessThan(3_000);
  await events.text().catch(() => undefined);
});

test.each([
  [['--plain-http', '0.0.0.0:5001'], /plain HTTP is for this machine alone, .*use --plain-http 127\.0\.0\.1:5001/],
  [['--plain-http', '192.168.1.1:5001'], /plain HTTP is for this machine alone/],
  [['--listen', 'everywhere'], /everywhere is no address to listen on: write ADDR:PORT/],
  [['--listen', '127.0.0.1:70000'], /is no address to listen on/],
  [['--listen', '192.0.2.1:5000'], /can't listen on 192\.0\.2\.1:5000/],
  [['--colour'], /unknown option '--colour'/],
])('%j is refused with a sentence and an exit code', async (options, sentence) => {
  await using dir = await temporaryDir();
  await using server = run('--data-dir', dir.path, '--listen', '127.0.0.1:0', ...options);
  expect(await server.ended).toBe(2);
  expect(server.log()).toMatch(sentence);
  expect(server.log()).not.toContain('    at ');
});
