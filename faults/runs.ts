import type { HostName } from './names.ts';

/** A container that ran on a host, in ms since 1970; `until` is infinite while it runs. */
export type Run = { host: HostName; container: string; from: number; until: number };

/** What was heard of a container: from Docker's own event log, from what it says when it is back, or from a power cut. */
export type Sign =
  | { kind: 'start'; host: HostName; container: string; at: number }
  | { kind: 'end'; host: HostName; container: string; at: number }
  | { kind: 'power-cut'; host: HostName; at: number };

/**
 * The runs that these signs tell of. Where the end of a run was not heard, because the daemon was away, the run lasts
 * until the next start of the same container: the judgement errs on the side of an overlap.
 */
export function runsOf(signs: readonly Sign[]): Run[] {
  const runs: Run[] = [];
  const open = (host: HostName, container?: string): Run[] =>
    runs.filter(
      (run) =>
        run.host === host && run.until === Number.POSITIVE_INFINITY && (container ?? run.container) === run.container,
    );
  for (const sign of signs.toSorted((a, b) => a.at - b.at)) {
    const ended = open(sign.host, sign.kind === 'power-cut' ? undefined : sign.container);
    for (const run of ended) run.until = sign.at;
    if (sign.kind !== 'start') continue;
    runs.push({ host: sign.host, container: sign.container, from: sign.at, until: Number.POSITIVE_INFINITY });
  }
  return runs;
}

/** Pairs of runs on different hosts that share a moment. */
export function overlaps(runs: readonly Run[]): [Run, Run][] {
  return runs.flatMap((one, index) =>
    runs
      .slice(index + 1)
      .filter((other) => one.host !== other.host && one.from < other.until && other.from < one.until)
      .map((other): [Run, Run] => [one, other]),
  );
}
