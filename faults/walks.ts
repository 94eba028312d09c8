import type { FaultPoint } from '../src/faults/points.ts';

/**
 * A walk: one migration that is stopped at point after point from its freeze on, and while it stands there its source is
 * tempted to run the container again. What may come of it:
 * - `open`: the container is on its way to or from its gate; what is started now is stopped again by the step, and the
 *   target does not run;
 * - `gated`: nothing brings it up;
 * - `home`: it runs here, and nothing ends that for good.
 */
export type Ground = 'open' | 'gated' | 'home';

/**
 * How it is tempted: `docker start` by each of its names; the same after a restart of the Docker daemon, with the restart
 * policy put back by hand before; the same after a power cut.
 */
export const temptations = ['hands', 'daemon', 'power'] as const;
export type Temptation = (typeof temptations)[number];

/** Of what the container's data is, and so its gate. */
export const kinds = {
  volume: (name: string) => `-v ${name}:/data`,
  bind: (name: string) => `-v /srv/${name}:/data`,
  none: () => '',
} as const satisfies Record<string, (name: string) => string>;
export type Kind = keyof typeof kinds;
export const kindNames = Object.keys(kinds) as Kind[];

type Way = readonly (readonly [Ground, readonly FaultPoint[]])[];

const start = ['target.start.before', 'target.start.permit-used', 'target.start.gate-open'] as const;

export const ways = {
  forward: [
    ['open', ['source.freeze.stopped', 'source.freeze.renamed']],
    ['gated', ['source.freeze.effect', 'source.freeze.recorded', 'server.freeze.answered', 'server.copy-final.send']],
    ['gated', ['target.copy-final.before', 'source.round.mid', 'target.round.mid']],
    ['gated', ['target.copy-final.effect', 'target.copy-final.recorded', 'server.copy-final.answered']],
    ['gated', ['server.start.send', ...start, 'target.start.started', 'target.start.effect', 'target.start.recorded']],
    ['gated', ['server.start.answered', 'server.copied.before', 'server.copied.written']],
    ['gated', ['server.finish.send', 'target.finish.before', 'target.finish.effect', 'target.finish.recorded']],
    ['gated', ['server.finish.answered', 'server.release.send', 'source.release.before', 'source.release.effect']],
    ['gated', ['source.release.recorded', 'server.release.answered', 'server.completed.before']],
    ['gated', ['server.completed.written']],
  ],
  /** The target can't start it: its port is taken there. */
  back: [
    ['gated', ['server.start.send', ...start, 'target.start.effect', 'target.start.recorded']],
    ['gated', ['server.start.answered', 'server.refuse.send', 'target.refuse.before', 'target.refuse.effect']],
    ['gated', ['target.refuse.recorded', 'server.refuse.answered', 'server.thaw.send', 'source.thaw.before']],
    ['open', ['source.thaw.gate-open']],
    ['home', ['source.thaw.effect', 'source.thaw.recorded', 'server.thaw.answered', 'server.abandon.send']],
    ['home', ['target.abandon.before', 'target.abandon.container-removed', 'target.abandon.effect']],
    ['home', ['target.abandon.recorded', 'server.abandon.answered', 'server.rolled-back.before']],
    ['home', ['server.rolled-back.written']],
  ],
} as const satisfies Record<string, Way>;
export type WayName = keyof typeof ways;
export const wayNames = Object.keys(ways) as WayName[];

export type Stop = { point: FaultPoint; ground: Ground; temptation: Temptation };
export type Walk = {
  name: string;
  kind: Kind;
  way: WayName;
  stops: readonly Stop[];
  /** Where somebody puts back what the gate has moved aside, for a control. */
  gateOpenedAt?: FaultPoint;
};

/** With every point of the way, or with those alone for which something else is said. */
export function walk(kind: Kind, way: WayName, how: Temptation | Partial<Record<FaultPoint, Temptation>>): Walk {
  const rows: Way = ways[way];
  const all = rows.flatMap(([ground, points]) => points.map((point) => ({ point, ground })));
  const stops = all.flatMap(({ point, ground }) => {
    const temptation = typeof how === 'string' ? how : how[point];
    // Without data there is nothing to be in the middle of.
    const isPassed = kind !== 'none' || !point.endsWith('.round.mid');
    return temptation !== undefined && isPassed ? [{ point, ground, temptation }] : [];
  });
  return { name: `walk/${kind}/${way}/${typeof how === 'string' ? how : 'some'}`, kind, way, stops };
}

/** Each kind of container, each way, each temptation, at every point. */
export function everyWalk(): Walk[] {
  return kindNames.flatMap((kind) =>
    wayNames.flatMap((way) => temptations.map((temptation) => walk(kind, way, temptation))),
  );
}
