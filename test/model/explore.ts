import { runningAtTarget, undecidedPhases } from '../../src/api/migration.ts';
import { learn, move, waitsFor } from './server.ts';
import {
  act,
  armed,
  firstWorld,
  isStartable,
  type Protections,
  receive,
  type Side,
  type Step,
  sideOf,
  type World,
} from './world.ts';

type Name = 'source' | 'target';
/** `fault`: what nobody may count on when a way forward is looked for. */
type Edge = { label: string; world: World; fault: boolean };

export type Explored = {
  states: number;
  twoRunners: string[] | null;
  /** A container that runs and may read what is not its data. */
  wrongData: string[] | null;
  stuck: string[] | null;
  moves: Set<string>;
};

/** Everything that may happen next. */
function edges(world: World, rules: Protections): Edge[] {
  return [...serverEdges(world), ...sides.flatMap((name) => sideEdges(world, name, rules)), ...operatorEdges(world)];
}

const sides: Name[] = ['source', 'target'];

function serverEdges(world: World): Edge[] {
  const found: Edge[] = [];
  const add = (label: string, change: Partial<World>, fault = false): void => {
    found.push({ label, world: { ...world, ...change }, fault });
  };
  if (!world.server) {
    add('server starts', { server: true, epoch: world.epoch + 1, heard: [] });
    return found;
  }
  const step = world.waiting ?? waitsFor(world);
  const command = `${step}/${world.epoch}`;
  if (step !== null && (world.waiting === null || !world.sent.includes(command))) {
    const sent = world.sent.includes(command) ? world.sent : [...world.sent, command].sort();
    const begins = world.phase === 'planned' ? move(world, 'staging') : {};
    add(`server sends ${command}`, { ...begins, waiting: step, sent, startSent: world.startSent || step === 'start' });
  }
  const learned = learn(world);
  if (learned !== null) found.push({ label: `server learns of ${step}`, world: learned, fault: false });
  if (world.recovery === 'source' && world.waiting === 'fence' && world.phase !== 'recovered' && !world.target.on) {
    add('server finds the target silent', { waiting: null });
  }
  const impatient = ['stage', 'freeze', 'copy', 'arm'].includes(world.waiting ?? '');
  if (world.faults === 0) return found;
  const faults = world.faults - 1;
  if (impatient) add('server gives up waiting', { undoing: true, waiting: null, faults }, true);
  add('server dies', { server: false, waiting: null, heard: [], afterAll: false, failover: false, faults }, true);
  return found;
}

function sideEdges(world: World, name: Name, rules: Protections): Edge[] {
  const side = world[name];
  const found: Edge[] = [];
  const add = (label: string, changed: Side, fault = false, change: Partial<World> = {}): void => {
    found.push({ label: `${name} ${label}`, world: { ...world, ...change, [name]: changed }, fault });
  };
  if (!side.on) {
    add('boots', boot(side, name, rules));
    return found;
  }
  if (!side.agent) add('agent starts', { ...side, agent: true });
  for (const command of world.sent) {
    const [step, epoch] = command.split('/') as [Step, string];
    const received = sideOf(step) === name ? receive(side, step, Number(epoch), rules) : null;
    if (received !== null) add(`receives ${command}`, received);
  }
  for (const done of side.agent ? act(side, world, rules) : []) add(`goes on with ${side.doing}`, done);
  if (name === 'target' && side.held && side.agent && world.server && side.doing === null && isHomeAtTarget(world)) {
    add('lets go', { ...side, ...armed(side), held: false, gate: false, running: side.running || side.policy });
  }
  const wakes = name === 'target' && side.follows === 'unprotected' && side.permit === 'used' && !side.held;
  if (wakes && side.agent && side.doing === null && side.exists && !side.gate) {
    add('protects what follows', { ...side, ...armed(side), running: side.running || side.policy });
  }
  if (side.agent && side.doing === null && !side.over && mayForget(world, name))
    add('forgets', { ...side, over: true });
  if (isStartable(side, rules)) add('docker start by hand', { ...side, running: true }, true);
  if (world.faults === 0) return found;
  const faults = world.faults - 1;
  const idle = { agent: false, doing: null, doingEpoch: 0, at: 0 } as const;
  if (side.agent) add('agent dies', { ...side, ...idle }, true, { faults });
  // What was on its way to the host is lost with its connections.
  const sent = world.sent.filter((command) => sideOf(command.split('/')[0] as Step) !== name);
  add('loses power', { ...side, ...idle, on: false, running: false }, true, { faults, sent });
  return found;
}

/** `cargo-agent hold` first, then Docker with its restart policies, then the agent. */
function boot(side: Side, name: Name, rules: Protections): Side {
  const holds = rules.hold && name === 'target' && side.exists && !side.over;
  const gate = side.gate || holds;
  const held = side.held || (holds && side.permit === 'used');
  const follows = side.follows === 'nothing' ? 'nothing' : 'unprotected';
  const booted: Side = { ...side, on: true, agent: true, held, gate, follows, running: false };
  return { ...booted, running: side.policy && isStartable(booted, rules) };
}

function isHomeAtTarget({ recovery, phase }: World): boolean {
  return recovery === 'none' ? runningAtTarget.includes(phase) : recovery === 'target';
}

function mayForget(world: World, name: Name): boolean {
  const { phase, fenced, recovery, clearing } = world;
  if (!world.server || clearing || (recovery !== 'none' && !fenced)) return false;
  if (phase === 'completed') return name === 'target';
  return (phase === 'rolled-back' || phase === 'failed' || phase === 'recovered') && !world[name].frozen;
}

function operatorEdges(world: World): Edge[] {
  const { phase, recovery, startSent, undoing, completing, failover, source, target, server } = world;
  const found: Edge[] = [];
  const add = (label: string, change: Partial<World>, fault = true): void => {
    found.push({ label: `operator: ${label}`, world: { ...world, ...change }, fault });
  };
  if (!server || recovery !== 'none') return found;
  if (undecidedPhases.includes(phase) && phase !== 'planned' && !startSent && !undoing) {
    add('cancel', { undoing: true, waiting: null });
  }
  if (phase === 'copied' && !completing && !failover) add('failover', { failover: true });
  const decided = { waiting: null, heard: [], epoch: world.epoch + 1 } as const;
  const mayHaveStarted =
    (phase === 'switching' && startSent) || phase === 'hydrating' || (phase === 'copied' && !completing && !failover);
  // The operator's word is true: the host is off. The driver's connections to it were ended before this was decided.
  const unsent = (name: Name) => world.sent.filter((command) => sideOf(command.split('/')[0] as Step) !== name);
  if (mayHaveStarted && !target.on) {
    add('recover at source', { ...decided, recovery: 'source', afterAll: false, sent: unsent('target') });
  }
  if (phase === 'copied' && !failover && !source.on) {
    add('recover at target', { ...decided, ...move(world, 'recovered'), recovery: 'target', completing: false });
  }
  return found;
}

/** It is over, or in an operator's hands, and the container runs where the server says. */
function isSettled(world: World): boolean {
  if (!world.server || waitsFor(world) !== null || world.waiting !== null) return false;
  return isHomeAtTarget(world) ? world.target.running : world.source.running;
}

/**
 * Breadth first over all states, then backwards from the settled ones over everything but faults. `goesOn`: two runners
 * don't end the search, for it is wrong data that is looked for.
 */
export function explore(
  rules: Protections,
  faults: number,
  most: number,
  { lazy = false, goesOn = false } = {},
): Explored {
  const ids = new Map<string, number>();
  const worlds: (World | null)[] = [];
  const from: { id: number; label: string }[] = [];
  const before: number[][] = [];
  const settled: number[] = [];
  const moves = new Set<string>();
  const visit = (world: World, origin: number, label: string): number => {
    const key = JSON.stringify(world);
    const known = ids.get(key);
    if (known !== undefined) return known;
    const id = worlds.push(world) - 1;
    ids.set(key, id);
    from.push({ id: origin, label });
    before.push([]);
    return id;
  };
  const trace = (id: number): string[] => {
    const path: string[] = [];
    for (let at = id; at > 0; at = from[at]?.id ?? 0) path.unshift(from[at]?.label ?? '');
    return path;
  };
  visit(firstWorld(faults, lazy), 0, '');
  for (let id = 0; id < worlds.length; id += 1) {
    const world = worlds[id];
    if (world === null || world === undefined) continue;
    const found = { states: id, twoRunners: null, wrongData: null, stuck: null, moves };
    const areTwo = world.source.running && world.target.running;
    if (areTwo && !goesOn) return { ...found, twoRunners: trace(id) };
    if (world.target.running && world.target.follows === 'unprotected') return { ...found, wrongData: trace(id) };
    if (worlds.length > most) throw new Error(`more than ${most} states`);
    if (isSettled(world)) settled.push(id);
    for (const edge of edges(world, rules)) {
      if (edge.world.phase !== world.phase) moves.add(`${world.phase} ${edge.world.phase}`);
      const to = visit(edge.world, id, edge.label);
      if (!edge.fault) before[to]?.push(id);
    }
    worlds[id] = null;
  }
  const good = new Uint8Array(worlds.length);
  for (const id of settled) good[id] = 1;
  for (let next = settled.pop(); next !== undefined; next = settled.pop()) {
    for (const id of before[next] ?? []) {
      if (good[id] === 1) continue;
      good[id] = 1;
      settled.push(id);
    }
  }
  const stuck = good.indexOf(0);
  return { states: worlds.length, twoRunners: null, wrongData: null, stuck: stuck === -1 ? null : trace(stuck), moves };
}
