import { setTimeout as delay } from 'node:timers/promises';
import { median } from './figures.ts';
import type { LabPair } from './lab-pair.ts';
import { DATA, LazyVolume } from './lazy-volume.ts';
import { SOURCE, TARGET } from './ways.ts';

const READY_LIMIT_MS = 60_000;
/** Of the background copy while pgbench is measured: it goes on for as long. */
const BACKGROUND_BYTES = 10 * 2 ** 20;

/** Transactions a second. */
export type DatabaseSpeed = { native: number; during: number; after: number; missingAfterwards: number };

export type Load = { scale: number; seconds: number; runs: number; fillerMiB: number };

/**
 * pgbench in the container: before the move (native), at the target with all of the database here while a large file of the volume still
 * follows, and at the end.
 */
export async function measureDatabase(pair: LabPair, load: Load): Promise<DatabaseSpeed> {
  const volume = new LazyVolume(pair, 'pgbench');
  await volume.create(['-e', 'POSTGRES_HOST_AUTH_METHOD=trust'], ['postgres']);
  await volume.start();
  await ready(SOURCE);
  await volume.exec(SOURCE, 'pgbench', '-q', '-i', '-s', String(load.scale), '-U', 'postgres', 'postgres');
  await volume.exec(SOURCE, 'sh', '-c', `head -c ${load.fillerMiB}M /dev/urandom > ${DATA}/filler; sync`);
  await query(SOURCE, 'checkpoint');
  const native = await speeds(SOURCE);
  await volume.move();
  await ready(TARGET);
  // The log's segments too: they are written to again.
  await volume.exec(TARGET, 'sh', '-c', `find ${DATA} -type f ! -name filler -exec cat {} + > /dev/null 2>&1; true`);
  await transactions(TARGET, load.seconds);
  await query(TARGET, 'checkpoint');
  await volume.release(BACKGROUND_BYTES);
  const during = await speeds(TARGET);
  const missingAfterwards = (await volume.status()).hydration.reduce((sum, { bytesMissing }) => sum + bytesMissing, 0);
  await volume.release();
  await volume.untilHere();
  const after = await speeds(TARGET);
  await volume.end();
  return { native: median(native), during: median(during), after: median(after), missingAfterwards };

  async function ready(host: typeof SOURCE): Promise<void> {
    const limit = performance.now() + READY_LIMIT_MS;
    for (;;) {
      try {
        await query(host, 'select 1');
        return;
      } catch (error) {
        if (performance.now() > limit) throw error;
        await delay(200, undefined, { signal: pair.signal });
      }
    }
  }

  function query(host: typeof SOURCE, sql: string): Promise<string> {
    return volume.exec(host, 'psql', '-qAt', '-U', 'postgres', '-c', sql);
  }

  async function speeds(host: typeof SOURCE): Promise<number[]> {
    const measured: number[] = [];
    for (let run = 0; run < load.runs; run += 1) measured.push(await transactions(host, load.seconds));
    return measured;
  }

  async function transactions(host: typeof SOURCE, seconds: number): Promise<number> {
    const text = await volume.exec(
      host,
      'pgbench',
      '-n',
      '-c',
      '4',
      '-T',
      String(seconds),
      '-U',
      'postgres',
      'postgres',
    );
    return Number(/^tps = ([\d.]+)/m.exec(text)?.[1]);
  }
}
