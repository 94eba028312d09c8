import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { armVolume, controlVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { runDatabase, runSqlite } from './databases.ts';
import { Image } from './images.ts';
import { LazyPair, run } from './lazy-pair.ts';

let image: Image;
beforeAll(() => {
  image = new Image('ext4', 6144);
});
afterAll(() => image[Symbol.dispose]());

/** `prepare` and `work` of a database, on the data in a directory; what it printed. */
type Runner = (what: 'prepare' | 'work', data: string) => Promise<string>;

const runners: [string, Runner][] = [
  ['SQLite', runSqlite],
  ['MariaDB', (what, data) => runDatabase('MariaDB', what, data)],
  ['PostgreSQL', (what, data) => runDatabase('PostgreSQL', what, data)],
  ['Redis', (what, data) => runDatabase('Redis', what, data)],
];

test.each(runners)(
  '%s recovers from a crash and works on content that is not here yet as on a plain copy',
  async (_, runner) => {
    await using pair = new LazyPair(image.path, { bwlimit: 3_000_000 });
    const data = (root: string): string => join(root, 'data');
    fs.mkdirSync(data(pair.source));
    await runner('prepare', data(pair.source));
    const plain = join(pair.directory, 'plain');
    await run('cp', ['-a', pair.source, plain]);
    await pair.begin();
    const { bytesMissing } = await pair.status();
    const work = runner('work', data(pair.target));
    await delay(300);
    const hydrator = pair.hydrator();
    if (hydrator !== null) {
      await pair.kill(hydrator);
      await armVolume(pair.stateDir);
    }
    const seen = await work;
    expect(bytesMissing).toBeGreaterThan(1_000_000);
    expect(seen).toBe(await runner('work', data(plain)));
    expect(seen.split('\n').length).toBeGreaterThan(3);
    await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null }).catch(() => {});
    await pair.finish();
  },
);
