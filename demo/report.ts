import { formatBytes } from '../src/cli/quantity.ts';
import type { Audit } from './database.ts';
import { longestGapMs, type Span } from './gap.ts';
import type { Acknowledged } from './writer.ts';

export type Result = {
  acknowledged: readonly Acknowledged[];
  audit: Audit;
  ballast: { before: string; after: string };
  restart: Span;
  /** Stop, rsync, start. */
  byHand: Span;
  migration: Span;
  /** Bytes that had not arrived when the client had its first row acknowledged at the target. */
  stillToCome: number;
  /** How many rows were acknowledged there before all data was. */
  rowsMeanwhile: number;
  /** As the agents measured it. */
  downtimeMs: number | null;
  totalMs: number;
};

/** Prints what came of it; the exit status: 0 when nothing is missing, changed or too many. */
export function report(result: Result): number {
  const { acknowledged, audit, ballast, restart, byHand, migration, downtimeMs, totalMs } = result;
  const same = ballast.before === ballast.after;
  const lines = [
    ['rows acknowledged', String(acknowledged.length)],
    ['rows found', String(audit.found)],
    ['ballast', `checksum ${ballast.before}, afterwards ${same ? 'the same' : ballast.after}`],
    ['downtime seen by the client', seconds(longestGapMs(acknowledged, migration))],
    ['  as Cargo measured it', downtimeMs === null ? 'unknown' : seconds(downtimeMs)],
    ['  of a plain docker restart', seconds(longestGapMs(acknowledged, restart))],
    ['  of stop, rsync, start', seconds(longestGapMs(acknowledged, byHand))],
    ['data to come at the first row', formatBytes(result.stillToCome)],
    ['rows before all had come', String(result.rowsMeanwhile)],
    ['time of the migration', seconds(migration.to - migration.from)],
    ['total time', seconds(totalMs)],
  ] as const;
  console.log('\n== Result');
  for (const [name, value] of lines) console.log(`${name.padEnd(30)}${value}`);
  const faults = faultsOf(audit, same);
  for (const fault of faults) console.log(fault);
  console.log(faults.length === 0 ? '\nEvery acknowledged row is there, and no other.' : '\nDATA IS WRONG.');
  return faults.length === 0 ? 0 : 1;
}

function faultsOf({ missing, changed, unexpected }: Audit, ballastSame: boolean): string[] {
  const kinds = { missing, changed, unexpected };
  const rows = Object.entries(kinds).filter(([, seqs]) => seqs.length > 0);
  return [
    ...rows.map(([kind, seqs]) => `${seqs.length} rows ${kind}: ${seqs.slice(0, 20).join(', ')}`),
    ...(ballastSame ? [] : ['the ballast is not what it was']),
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
