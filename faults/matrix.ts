import { type FaultPoint, faultPoints } from '../src/faults/points.ts';

/** Which process's points a fault strikes at, where the step has some. */
type Preference = 'server' | 'source' | 'target' | 'any';

/** What is done to the lab at a point. */
export const faults = {
  'server-kill': 'server',
  'source-kill': 'source',
  'target-kill': 'target',
  'both-kill': 'any',
  'server-cut': 'server',
  'source-cut': 'any',
  'target-cut': 'any',
  'source-docker': 'any',
  'target-docker': 'any',
  'source-power': 'source',
  'target-power': 'target',
  'target-full': 'target',
} as const satisfies Record<string, Preference>;
export type FaultName = keyof typeof faults;
export const faultNames = Object.keys(faults) as FaultName[];

/**
 * The steps of a migration, those that can do most harm first, each with the points that belong to it. `until`: where the migration is stopped first, so
 * that a point which it passes more than once is the right one. `isDoomed`: something at the target keeps the container
 * from starting there, so that the migration goes back. `isLazy`: the data follows the container.
 */
type Row = { points: readonly FaultPoint[]; until?: FaultPoint; isDoomed?: true; isLazy?: true };

const of = (...parts: string[]): FaultPoint[] =>
  faultPoints.filter((point) => parts.some((part) => point.includes(`.${part}.`)));

const middle: readonly FaultPoint[] = ['target.hydrate.mid'];

export const steps = {
  freeze: { points: of('switching', 'freeze') },
  'copy-final': {
    points: [...of('copy-final'), 'source.round.mid', 'target.round.mid'],
    until: 'server.copy-final.send',
  },
  start: { points: of('start', 'copied') },
  arm: { points: of('arm'), isLazy: true },
  // The middle of it is reached only when the copy is slowed down: lazy-cells.ts.
  hydrate: { points: of('hydrate', 'hydrating').filter((point) => !middle.includes(point)), isLazy: true },
  refuse: { points: of('refuse'), isDoomed: true },
  thaw: { points: of('thaw'), isDoomed: true },
  abandon: { points: of('abandon', 'rolled-back'), isDoomed: true },
  serve: { points: of('staging', 'serve') },
  stage: { points: of('stage') },
  copy: { points: [...of('copy'), 'source.round.mid', 'target.round.mid'] },
  release: { points: of('release') },
  finish: { points: of('finish', 'completed') },
} as const satisfies Record<string, Row>;
export type MatrixStep = keyof typeof steps;
export const matrixSteps = Object.keys(steps) as MatrixStep[];

/** Points that no cell of this matrix comes by, with the reason. */
const reasons: Readonly<Record<string, string>> = {
  failed: 'a migration that fails before anything was touched has nothing to sort out',
  recovered: "an operator's word that a host is lost: its own tests take hosts away for good",
  fence: "an operator's word that a host is lost: its own tests take hosts away for good",
  verify: 'changes nothing',
};
export const elsewhere: readonly FaultPoint[] = of(...Object.keys(reasons));

export type Cell = {
  /** `<step>/<fault>`, with `@<point>` where every point is struck at. */
  name: string;
  step: MatrixStep;
  fault: FaultName;
  point: FaultPoint;
  until: FaultPoint | null;
  isDoomed: boolean;
  isLazy: boolean;
};

/** One cell for each step and fault; the points of a step take turns from fault to fault. */
export function matrix(): Cell[] {
  return matrixSteps.flatMap((step, row) =>
    faultNames.map((fault, column) => {
      const points = candidates(step, fault);
      const point = points[(row + column) % points.length];
      if (point === undefined) throw new Error(`step ${step} has no points`);
      return cellAt(step, fault, point, `${step}/${fault}`);
    }),
  );
}

/** Power cuts in the moment in which the server has heard what the host must never forget. */
export function onceAnswered(): Cell[] {
  const cells = [
    ['freeze', 'source-power'],
    ['start', 'target-power'],
    ['refuse', 'target-power'],
    ['thaw', 'source-power'],
  ] as const;
  return cells.map(([step, fault]) => cellAt(step, fault, `server.${step}.answered`, `${step}/${fault}, answered`));
}

/** Each fault at each point of each step. */
export function everyPoint(): Cell[] {
  return matrixSteps.flatMap((step) =>
    faultNames.flatMap((fault) =>
      steps[step].points.map((point) => cellAt(step, fault, point, `${step}/${fault}@${point}`)),
    ),
  );
}

export function cellAt(step: MatrixStep, fault: FaultName, point: FaultPoint, name: string): Cell {
  const row: Row = steps[step];
  const until = row.until === point ? null : (row.until ?? null);
  return { name, step, fault, point, until, isDoomed: row.isDoomed === true, isLazy: row.isLazy === true };
}

function candidates(step: MatrixStep, fault: FaultName): readonly FaultPoint[] {
  const points: readonly FaultPoint[] = steps[step].points;
  const preferred = points.filter((point) => point.startsWith(`${faults[fault]}.`));
  return preferred.length > 0 ? preferred : points;
}
