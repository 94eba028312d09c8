import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { fileSystems, Image } from './images.ts';
import { LazyPair, run } from './lazy-pair.ts';
import { bytes } from './trees.ts';

const program = new URL('./access.py', import.meta.url).pathname;
const MB = 2 ** 20;

/** What no engine can see: a program that asks for itself where a large file without holes has data. */
const unseen = ['seek-data.dense'];

/** A file for each operation and shape: above and below the size that is fetched whole at open, with and without holes. */
async function buildFiles(root: string): Promise<void> {
  const { stdout } = await run('python3', [program, '--list']);
  const script = Buffer.concat([Buffer.from('#!/bin/cat\n'), bytes(5, 190_000)]);
  const large = bytes(6, MB + 300_001);
  for (const name of stdout.trim().split('\n')) {
    const path = join(root, name);
    fs.writeFileSync(`${path}.small`, script, { mode: 0o755 });
    fs.writeFileSync(`${path}.dense`, large);
    const sparse = fs.openSync(`${path}.sparse`, 'w');
    // First its size: XFS gives what is written at the end of a file more room than that, and takes it for data.
    fs.ftruncateSync(sparse, MB + 500_000);
    fs.writeSync(sparse, large, 0, 100_000, 0);
    fs.writeSync(sparse, large, 0, 300_000, MB);
    fs.closeSync(sparse);
  }
}

describe.each(fileSystems)('on %s', (kind) => {
  test('every way to touch a file that is not here yet sees what it would see in a plain copy', async () => {
    using image = new Image(kind, 2048);
    await using pair = new LazyPair(image.path, { bwlimit: 1 });
    await buildFiles(pair.source);
    const plain = join(image.path, 'plain');
    await run('cp', ['-a', '--sparse=auto', pair.source, plain]);
    await pair.begin();
    await controlVolume(pair.stateDir, { do: 'pause' });
    const limits = { maxBuffer: 64 * MB, timeout: 150_000 };
    const expected = (await run('python3', [program, plain], limits)).stdout.split('\n');
    const seen = (await run('python3', [program, pair.target], limits)).stdout.split('\n');
    const different = seen.filter((line, index) => line !== expected[index]);
    expect(different.filter((line) => !unseen.includes(JSON.parse(line)[0]))).toEqual([]);
    expect(seen).toHaveLength(expected.length);
    const status = await pair.status();
    expect(status.waits).toBeGreaterThan(200);
    await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
    await controlVolume(pair.stateDir, { do: 'resume' });
    await pair.finish();
    expect((await run('diff', ['-r', plain, pair.target])).stdout).toBe('');
  });
});
