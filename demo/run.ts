/**
 * The main job on real input: a MariaDB that a client keeps writing to moves from one Docker host to another, and serves
 * there before its data has come. Beside it a docker restart, and stop, rsync, start, on the same data. Ends with status 0
 * only when every row that the client saw acknowledged is there afterwards. `--keep` leaves the lab up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Migration } from '../src/api/migration.ts';
import { stopRsyncStart } from './by-hand.ts';
import { run } from './command.ts';
import { accountAt, addBallast, audit, ballastChecksum, CONTAINER, startDatabase } from './database.ts';
import type { Span } from './gap.ts';
import { addressesOf, bootLab, cargoctlJson, type Lab } from './lab.ts';
import { report } from './report.ts';
import { takeTurn } from './turn.ts';
import { Writer } from './writer.ts';

const MIGRATION_LIMIT_MS = 10 * 60_000;
/** What the client is to notice stands apart from what it noticed before. */
const SETTLE_MS = 2_000;
const SLOWLY = '10M';

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interruption.abort(new Error(`interrupted by ${signal}`)));
}

try {
  process.exitCode = await demo(process.argv.includes('--keep'), interruption.signal);
} catch (error) {
  const reason: unknown = interruption.signal.aborted ? interruption.signal.reason : error;
  console.error(`\ndemo: ${reason instanceof Error ? reason.message : reason}`);
  process.exitCode = 1;
}

async function demo(keep: boolean, signal: AbortSignal): Promise<number> {
  const startedAt = performance.now();
  say('Booting two Docker hosts with Cargo');
  await using turn = await takeTurn();
  await using lab = await bootLab(turn.name, keep, signal);
  const hosts = await addressesOf(lab, signal);
  const [h1, h2] = [accountAt(hosts('h1')), accountAt(hosts('h2'))];

  say(`A MariaDB on h1, with a volume and a published port`);
  await lab.image('h1', 'mariadb');
  await startDatabase(lab, 'h1', h1, signal);
  await addBallast(h1);
  const ballastBefore = await ballastChecksum(h1);

  say('A client begins to insert rows, and goes on all the time');
  const writer = new Writer([h1, h2]);
  const stopWriting = () => writer.stop();
  signal.addEventListener('abort', stopWriting);
  const written = writer.run();
  // until it is awaited below; a writer that gave up must not end the process before the lab is down
  written.catch((error) => interruption.abort(error));
  try {
    await settle(writer, signal);
    const restart = await timed(() => lab.show('h1', ['docker', 'restart', CONTAINER]));
    await settle(writer, signal);
    say('What an operator does by hand: stop, rsync, start');
    const byHand = await timed(() => stopRsyncStart(lab, signal));
    await settle(writer, signal);
    const moved = await moveDatabase(lab, writer, h2.host, signal);
    stopWriting();
    await written;
    const result = {
      acknowledged: writer.acknowledged,
      audit: await audit(h2, writer.acknowledged),
      ballast: { before: ballastBefore, after: await ballastChecksum(h2) },
      restart,
      byHand,
      ...moved,
      totalMs: performance.now() - startedAt,
    };
    return report(result);
  } finally {
    stopWriting();
    signal.removeEventListener('abort', stopWriting);
  }
}

type Moved = { migration: Span; downtimeMs: number | null; stillToCome: number; rowsMeanwhile: number };

/** In the spelling of 2015. Once it runs at the target, the data travels slowly on purpose until the client was served, so that it can be seen. */
async function moveDatabase(lab: Lab, writer: Writer, target: string, signal: AbortSignal): Promise<Moved> {
  const cargoctl = (...args: string[]) =>
    run('cargoctl', args, { env: lab.env, limitMs: MIGRATION_LIMIT_MS, signal, show: true });
  const status = () => cargoctlJson(lab, signal, ['status', CONTAINER], Migration);
  say('Moving it to h2: it runs there before its data has come');
  await cargoctl('--list');
  const migration = await timed(() =>
    cargoctl('--migrate', '--source', 'h1', '--container', CONTAINER, '--target', 'h2'),
  );
  // A machine that is faster than this command has nothing left to show.
  await cargoctl('set', CONTAINER, '--bwlimit', SLOWLY).catch((error: Error) => console.log(error.message));
  await writer.writesAfter(migration.to, signal);
  const { bytes, phase } = await status();
  const isArriving = phase === 'hydrating';
  say(
    `The client is served there, ${isArriving ? 'while bytes are still arriving' : 'and all bytes have arrived already'}`,
  );
  await lab.show('h2', ['docker', 'ps']);
  await cargoctl('status', CONTAINER);
  say('When all has come, h1 is let go of');
  // A machine that is too busy for that gets all its data too, only later.
  if (isArriving)
    await cargoctl('set', CONTAINER, '--bwlimit', 'none').catch((error: Error) => console.log(error.message));
  await cargoctl('status', CONTAINER, '--watch');
  const copiedAt = Date.parse((await status()).copiedAt ?? '') - performance.timeOrigin;
  const rowsMeanwhile = writer.acknowledged.filter(({ host, at }) => host === target && at < copiedAt).length;
  await cargoctl('--status', '--container', CONTAINER);
  await settle(writer, signal);
  await cargoctl('--failover', '--target', 'h2', '--container', CONTAINER);
  await cargoctl('--list');
  await settle(writer, signal);
  const { downtimeMs } = await status();
  return { migration, downtimeMs, stillToCome: bytes.total - bytes.local, rowsMeanwhile };
}

/** The client writes again, and for a while without a break. */
async function settle(writer: Writer, signal: AbortSignal): Promise<void> {
  await writer.writesAfter(performance.now(), signal);
  await sleep(SETTLE_MS, undefined, { signal });
}

async function timed(work: () => Promise<unknown>): Promise<Span> {
  const from = performance.now();
  await work();
  return { from, to: performance.now() };
}

function say(text: string): void {
  console.log(`\n== ${text}`);
}
