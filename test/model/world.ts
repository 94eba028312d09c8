import type { StepName } from '../../src/api/agent-steps.ts';
import { agentSteps } from '../../src/api/agent-steps.ts';
import type { Phase } from '../../src/api/migration.ts';

/** The steps of the model. `serve` and `verify` change nothing that anybody could run. */
export const modelled = [
  'stage',
  'freeze',
  'copy',
  'arm',
  'start',
  'hydrate',
  'refuse',
  'thaw',
  'abandon',
  'fence',
  'finish',
  'release',
] as const satisfies readonly StepName[];
export type Step = (typeof modelled)[number];

/** The parts of the protocol that a control run leaves out. */
export type Protections = {
  permit: boolean;
  epochs: boolean;
  sourceGate: boolean;
  targetGate: boolean;
  hold: boolean;
  killOnRefuse: boolean;
  checkAfterGate: boolean;
  overAfterThaw: boolean;
  /** Data that follows is seen while it is protected only, by a mount that a boot takes away. */
  cover: boolean;
};

/** How a step ended: not yet, done, failed, or failed for good because the target has started. */
export type Outcome = { state: 'none' | 'done' | 'failed' | 'started'; epoch: number };
const noOutcome: Outcome = { state: 'none', epoch: 0 };

/** A host with its agent and Docker. `at`: how many acts of the running step are done. */
export type Side = {
  on: boolean;
  agent: boolean;
  /** Docker's: */
  exists: boolean;
  running: boolean;
  policy: boolean;
  gate: boolean;
  /** The agent's record, durable: */
  epoch: number;
  frozen: boolean;
  permit: 'unused' | 'used' | 'refused';
  held: boolean;
  over: boolean;
  /** What of its data is still at the source: nothing, unprotected, or protected so that an access waits for it. */
  follows: 'nothing' | 'unprotected' | 'protected';
  outcomes: { readonly [S in Step]: Outcome };
  /** What the agent does; gone with the agent. */
  doing: Step | null;
  doingEpoch: number;
  at: number;
};

export type World = {
  lazy: boolean;
  /** The server's record, durable: */
  phase: Phase;
  epoch: number;
  startSent: boolean;
  undoing: boolean;
  clearing: boolean;
  completing: boolean;
  whole: boolean;
  recovery: 'none' | 'source' | 'target';
  fenced: boolean;
  /** What the server waits for; null: nothing, or it is down. */
  server: boolean;
  waiting: Step | null;
  /** Answers that it has had since it started, as far as its record doesn't say so. */
  heard: readonly Step[];
  /** The target had started although the way back was begun: its start is asked for again. */
  afterAll: boolean;
  /** An operator has asked for the failover. */
  failover: boolean;
  /** Every command that was ever sent and may still arrive, once or often: `step/epoch`. */
  sent: readonly string[];
  source: Side;
  target: Side;
  faults: number;
};

export function firstWorld(faults: number, lazy: boolean): World {
  const outcomes = Object.fromEntries(modelled.map((step) => [step, noOutcome])) as Side['outcomes'];
  const side: Side = {
    ...{ on: true, agent: true, exists: true, running: true, policy: true, gate: false, epoch: 0, frozen: false },
    ...{ permit: 'unused', held: false, over: false, follows: 'nothing', outcomes, doing: null, doingEpoch: 0, at: 0 },
  };
  return {
    ...{ phase: 'planned', epoch: 1, startSent: false, undoing: false, clearing: false, completing: false },
    ...{ whole: false, recovery: 'none', fenced: false, server: true, waiting: null, heard: [] },
    ...{ afterAll: false, failover: false, sent: [], faults, lazy },
    source: side,
    target: { ...side, exists: false, running: false, policy: false },
  };
}

export const sideOf = (step: Step): 'source' | 'target' => agentSteps[step].side;

/** Steps that end whatever else runs, but for a start (src/agent/migrations/step-runner.ts). */
const overriding: ReadonlySet<Step> = new Set(['refuse', 'abandon', 'thaw', 'fence']);

/** A command arrives at an agent that is up: the rules of StepRunner.start. */
export function receive(side: Side, step: Step, epoch: number, rules: Protections): Side | null {
  if (side.over || !side.agent) return null;
  if (rules.epochs && epoch < side.epoch) return null;
  const seen = { ...side, epoch: Math.max(side.epoch, epoch) };
  const known = side.outcomes[step];
  if (known.state === 'done' || (rules.epochs && known.state !== 'none' && known.epoch >= epoch)) return seen;
  if (rules.overAfterThaw && step === 'freeze' && side.outcomes.thaw.state === 'done') return seen;
  if (side.doing === step) return { ...seen, doingEpoch: epoch };
  if (side.doing !== null && (!overriding.has(step) || side.doing === 'start')) return null;
  return { ...seen, doing: step, doingEpoch: epoch, at: 0 };
}

/** The next act of what an agent does: every state that it may lead to. A crash may come between any two. */
export function act(side: Side, world: World, rules: Protections): Side[] {
  const next = (change: Partial<Side>): Side => ({ ...side, ...change, at: side.at + 1 });
  const end = (state: Outcome['state'], change: Partial<Side> = {}): Side => {
    const step = side.doing as Step;
    const outcomes = { ...side.outcomes, [step]: { state, epoch: side.doingEpoch } };
    return { ...side, ...change, outcomes, doing: null, doingEpoch: 0, at: 0 };
  };
  switch (side.doing) {
    case 'freeze':
      return freeze(side, rules, next, end);
    case 'thaw':
      return thaw(side, next, end);
    case 'stage':
      return side.permit === 'unused'
        ? [end('done', { exists: true, gate: rules.targetGate, follows: world.lazy ? 'unprotected' : 'nothing' })]
        : [end('failed')];
    case 'copy':
      return world.source.outcomes.freeze.state === 'done' && side.exists
        ? [end('done'), end('failed')]
        : [end('failed')];
    case 'arm':
      return side.exists && side.permit !== 'refused' ? [end('done', armed(side)), end('failed')] : [end('failed')];
    case 'hydrate':
      if (side.at === 0) return [next(armed(side))];
      return [end('done', { follows: 'nothing' })];
    case 'start':
      return start(side, rules, next, end);
    case 'refuse':
    case 'abandon':
      return refuse(side, side.doing, rules, next, end);
    case 'fence':
      if (side.at === 0) return [next({ permit: 'refused', held: false })];
      if (side.at === 1) return [next({ policy: false, gate: true })];
      return [end('done', { running: false })];
    case 'finish':
    case 'release':
      return [end('done')];
    case null:
      return [];
  }
}

/** What is missing is protected from now on. */
export function armed({ follows }: Side): Pick<Side, 'follows'> {
  return { follows: follows === 'nothing' ? 'nothing' : 'protected' };
}

/** Whether Docker can start it, by a policy or by anybody's hand. */
export function isStartable({ exists, gate, running, follows }: Side, rules: Protections): boolean {
  return exists && !gate && !running && (!rules.cover || follows !== 'unprotected');
}

type Next = (change: Partial<Side>) => Side;
type End = (state: Outcome['state'], change?: Partial<Side>) => Side;

function freeze(side: Side, rules: Protections, next: Next, end: End): Side[] {
  if (side.at === 0) return [next({ frozen: true })];
  if (side.at === 1) return [next({ policy: false })];
  if (side.at === 2) return [next({ running: false })];
  if (side.at === 3) return [next({ gate: rules.sourceGate })];
  return [end('done', rules.checkAfterGate ? { running: false } : {})];
}

function thaw(side: Side, next: Next, end: End): Side[] {
  if (side.at === 0 && !side.frozen) return [end('done')];
  if (side.at === 0) return [next({ gate: false })];
  if (side.at === 1) return [next({ policy: true })];
  if (side.at === 2) return [next({ running: true })];
  return [end('done', { frozen: false })];
}

/** It may come up well or not; one that is not well may run on. */
function start(side: Side, rules: Protections, next: Next, end: End): Side[] {
  if (side.at === 0) {
    const refused = rules.permit && side.permit === 'refused';
    const isUnarmed = side.follows === 'unprotected' && side.outcomes.arm.state !== 'done';
    return refused || isUnarmed || !side.exists
      ? [end('failed')]
      : [next({ permit: 'used', held: false, ...armed(side) })];
  }
  if (side.at === 1) return [next({ gate: false })];
  if (side.at === 2) return [next({ running: true })];
  if (side.at === 3) return [next({ policy: true }), end('failed'), end('failed', { running: false })];
  return [end('done')];
}

/** The permit first, then whatever may run by it; the answer last. */
function refuse(side: Side, step: 'refuse' | 'abandon', rules: Protections, next: Next, end: End): Side[] {
  if (side.at === 0) {
    const { start: started } = side.outcomes;
    if (started.state === 'done') return [end('started')];
    const refused = next({ permit: 'refused' });
    const maybeServing = side.permit === 'used' && side.running && started.state !== 'failed';
    return maybeServing ? [end('started', { policy: true }), refused] : [refused];
  }
  if (side.at === 1) return [next({ gate: rules.targetGate })];
  if (side.at === 2) return [next(rules.killOnRefuse ? { running: false } : {})];
  return [end('done', step === 'abandon' ? { exists: false, running: false, policy: false } : {})];
}
