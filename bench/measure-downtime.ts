import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { longestGap, type Span } from '../demo/gap.ts';
import type { Migration } from '../src/api/migration.ts';
import { type DowntimeWay, type Hosts, lastMigration } from './downtime-ways.ts';
import type { HostName, LabPair } from './lab-pair.ts';
import { type Timeline, timelineOf } from './timeline.ts';
import type { Client, Workload } from './workload.ts';

const run = promisify(execFile);

/** One turn of a way: what the client noticed, where the container is since, and what Cargo says of it. */
export type Downtime = { timeline: Timeline; gap: Span; hosts: Hosts; migration: Migration | null };

/** @throws Error when the client had no answer before and after */
export async function measureDowntime(
  pair: LabPair,
  { workload, client, way, at }: { workload: Workload; client: Client; way: DowntimeWay; at: HostName },
): Promise<Downtime> {
  const turns: Downtime[] = [];
  await way.run(at, async (hosts, work) => {
    // What the way before this one has written is none of this one's.
    await run('sync', [], { signal: pair.signal });
    await client.answersAfter(performance.now(), pair.signal);
    const from = performance.now();
    await work();
    const to = performance.now();
    await client.answersAfter(to, pair.signal);
    const gap = longestGap(client.answers, { from, to });
    if (gap === null) throw new Error(`${way.name}: the client had no answer`);
    const migration = way.isCargo ? await lastMigration(pair, workload) : null;
    turns.push({ timeline: await timelineOf(pair, gap, hosts), gap, hosts, migration });
  });
  const [turn] = turns;
  if (turn === undefined) throw new Error(`${way.name} measured nothing`);
  return turn;
}
