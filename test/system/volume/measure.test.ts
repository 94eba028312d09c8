import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  hasChangedSinceCopy,
  measureTree,
  type RoundProgress,
  receiveRound,
  sendRound,
} from '../../../src/agent/volume/index.ts';
import { socketPair, TreePair } from './rounds.ts';

const signal = (): AbortSignal => AbortSignal.timeout(60_000);

test('a tree is measured in entries and allocated bytes, hard links once, holes not at all', async () => {
  using pair = new TreePair();
  fs.mkdirSync(join(pair.source, 'dir'));
  fs.writeFileSync(join(pair.source, 'dir/file'), Buffer.alloc(100_000, 'x'));
  fs.linkSync(join(pair.source, 'dir/file'), join(pair.source, 'link'));
  fs.writeFileSync(join(pair.source, 'sparse'), '');
  fs.truncateSync(join(pair.source, 'sparse'), 1 << 30);
  expect(await measureTree({ path: pair.source, isFile: false }, signal())).toMatchObject({ files: 4, bytes: 102_400 });
  const file = { path: join(pair.source, 'link'), isFile: true };
  expect(await measureTree(file, signal())).toMatchObject({ files: 1, bytes: 102_400 });
});

test('what is no directory is told with its path', async () => {
  const root = { path: '/var/tmp/there/is/nothing', isFile: false };
  await expect(measureTree(root, signal())).rejects.toThrow(/\/var\/tmp\/there\/is\/nothing is not a directory/);
});

test('a change in the very moment at which the copy was noted is the copy itself; a nanosecond later it is not', async () => {
  using pair = new TreePair();
  const stateDir = join(pair.directory, 't');
  fs.mkdirSync(stateDir);
  fs.writeFileSync(join(stateDir, 'target.json'), '{}');
  fs.writeFileSync(join(pair.target, 'file'), 'copied');
  const hasChanged = (copiedAt: string, changedAt: string): Promise<boolean> => {
    execFileSync('touch', ['-d', `@${copiedAt}`, join(stateDir, 'target.json')]);
    execFileSync('touch', ['-d', `@${changedAt}`, pair.target, join(pair.target, 'file')]);
    return hasChangedSinceCopy({ path: pair.target, isFile: false }, { stateDir, isLazy: true }, signal());
  };
  // Numbers that are no whole milliseconds are apart by 244 ns in this century: the first is rounded up in one unit, down in another.
  for (const nanosecond of [440_792_936, 123_456_001]) {
    const moment = `1795429874.${nanosecond}`;
    expect(await hasChanged(moment, moment), moment).toBe(false);
    expect(await hasChanged(moment, `1795429874.${nanosecond + 1}`), `just after ${moment}`).toBe(true);
  }
});

test('both sides report the same way to the end', async () => {
  using pair = new TreePair();
  for (let i = 0; i < 40; i += 1) fs.writeFileSync(join(pair.source, `file-${i}`), Buffer.alloc(300_000, i));
  const [left, right] = await socketPair();
  const seen: Record<'source' | 'target', RoundProgress[]> = { source: [], target: [] };
  const common = { round: 1, signal: signal() };
  await Promise.all([
    sendRound({
      ...common,
      socket: left,
      keys: null,
      root: { path: pair.source, isFile: false },
      stateDir: join(pair.directory, 's'),
      final: true,
      bwlimit: null,
      onProgress: (progress) => seen.source.push(progress),
    }),
    receiveRound({
      ...common,
      socket: right,
      keys: null,
      root: { path: pair.target, isFile: false },
      stateDir: join(pair.directory, 't'),
      onProgress: (progress) => seen.target.push(progress),
    }),
  ]);
  left.destroy();
  right.destroy();
  const whole = { filesDone: 40, filesTotal: 40, bytesDone: 12_000_000, bytesTotal: 12_000_000 };
  expect(seen.source.at(-1)).toEqual(whole);
  expect(seen.target.at(-1)).toEqual(whole);
  expect(seen.target.length).toBeGreaterThan(5);
});
