import type { DescribeResponse, PreflightResponse, StepName, StepOutput } from '../../../../src/api/agent-steps.ts';
import { CargoError } from '../../../../src/api/cargo-error.ts';
import type { Base, ContainerDefinition, DataMount } from '../../../../src/api/container-definition.ts';
import { abilities, type Host, type HostContainers, LAZY } from '../../../../src/api/host.ts';
import type { Agents, Hosts, StepRequest } from '../../../../src/server/migrations/ports.ts';

export const steps = [
  'serve',
  'stage',
  'copy-1',
  'copy-2',
  'freeze',
  'copy-3',
  'arm',
  'start',
  'hydrate',
  'refuse',
  'thaw',
  'abandon',
] as const;
export type FaultKind =
  /** The command never reaches the agent. */
  | 'request lost'
  /** The agent does it, the answer never arrives. */
  | 'answer lost'
  /** The command is held up on its way and reaches the agent after the target has answered `refuse`. */
  | 'request delayed'
  /** The agent fails it for good. */
  | 'fails'
  /** The agent does it, and then fails: Docker's answer was lost, or the agent was killed. */
  | 'fails when done'
  /** The agent does it, then finds that missing data was not protected: it stops the container, and keeps to that. */
  | 'suspect when done'
  /** The server dies before it sends the command. */
  | 'server dies before'
  /** The server dies when the step is done, before it could record that. */
  | 'server dies after';
export type Fault = { key: string; kind: FaultKind; times: number };

/** Steps that are answered with what the target knows to have gone wrong. */
const ofTarget = new Set(['start', 'hydrate', 'refuse', 'abandon']);

type Outcome = { epoch: number; output: unknown } | { epoch: number; error: CargoError };

/** What must never be seen; the test that catches it is the point of the explorer. */
export class TwoRunners extends Error {}

const id = (digit: string): string => `${digit.repeat(8)}-0000-4000-8000-000000000000`;

/**
 * Two hosts with agents that keep to the step protocol (recorded outcomes, epochs, permit), as a state machine in
 * memory: every order of losses can be played through in milliseconds. `fenced: false` switches the permit off.
 */
export class TwoHosts implements Hosts, Agents {
  readonly hosts: Host[] = [host('h1', id('1')), host('h2', id('2'))];
  readonly source = { running: true, frozen: false };
  readonly target = {
    staged: false,
    armed: false,
    running: false,
    suspect: false,
    permit: 'unused' as 'unused' | 'used' | 'refused',
  };
  /** What the target says of a copy that has run there and written. */
  keptAs: string | null = null;
  /** What it keeps for another try. */
  bases: Base[] = [];
  /** Keys of the steps that an agent was asked for. */
  readonly asked = new Set<string>();
  readonly #fault: Fault;
  readonly #fenced: boolean;
  readonly #alsoFails: string | null;
  readonly #definition: ContainerDefinition;
  readonly #outcomes = new Map<string, Outcome>();
  #seen = 0;
  #held: (() => void) | null = null;
  readonly forgottenBy = new Set<string>();
  onForget: 'works' | 'server dies' | 'agent is away' = 'works';
  onServerDeath: () => void = () => undefined;

  constructor(fault: Fault, options: { fenced?: boolean; alsoFails?: string; lazy?: boolean } = {}) {
    this.#fault = fault;
    this.#fenced = options.fenced ?? true;
    this.#alsoFails = options.alsoFails ?? null;
    this.#definition = { ...definition, mounts: options.lazy === true ? [volume] : [] };
  }

  async step<S extends StepName>(_: Host, __: string, request: StepRequest<S>): Promise<StepOutput<S>> {
    const { key, epoch } = request;
    this.asked.add(key);
    const kind = key === this.#fault.key && this.#seen < this.#fault.times ? this.#fault.kind : null;
    if (kind !== null) this.#seen += 1;
    if (kind === 'server dies before') throw this.#die();
    if (kind === 'request lost') throw unreachable(key);
    if (kind === 'request delayed') {
      this.#held = () => this.#perform(key);
      throw unreachable(key);
    }
    if (kind === 'fails when done' || kind === 'suspect when done') this.#perform(key);
    if (kind === 'suspect when done') {
      this.target.running = false;
      this.target.suspect = true;
    }
    const outcome = this.#outcome(
      key,
      epoch,
      kind === 'fails' || kind === 'fails when done' || key === this.#alsoFails,
    );
    if (kind === 'server dies after') throw this.#die();
    if (kind === 'answer lost') throw unreachable(key);
    if ('error' in outcome) throw outcome.error;
    return outcome.output as StepOutput<S>;
  }

  #die(): CargoError {
    this.onServerDeath();
    return new CargoError('SERVER_UNREACHABLE', 'the server died');
  }

  #outcome(key: string, epoch: number, fails: boolean): Outcome {
    const known = this.#outcomes.get(key);
    if (known !== undefined && ('output' in known || known.epoch >= epoch)) return known;
    const outcome = fails ? { epoch, error: new CargoError('DOCKER_ERROR', `${key} failed`) } : this.#try(key, epoch);
    this.#outcomes.set(key, outcome);
    return outcome;
  }

  #try(key: string, epoch: number): Outcome {
    try {
      return { epoch, output: this.#perform(key) };
    } catch (error) {
      if (error instanceof CargoError) return { epoch, error };
      throw error;
    }
  }

  #perform(key: string): unknown {
    const amounts = { files: 0, deleted: 0, bytes: 0, totalFiles: 3, totalBytes: 300 };
    if (key.startsWith('copy-')) return { ...amounts, drainMs: 2, applyMs: 3 };
    if (key === 'freeze') return this.#freeze();
    if (key === 'stage') return this.#stage();
    if (key === 'arm') return this.#arm();
    if (this.target.suspect && ofTarget.has(key)) throw new CargoError('SUSPECT', 'it may have read wrong data');
    if (key === 'start') return this.#start();
    if (key === 'hydrate') return { files: 1 };
    if (key === 'refuse') return this.#refuse();
    if (key === 'abandon') return this.#abandon();
    if (key === 'thaw') return this.#thaw();
    return {};
  }

  #freeze(): unknown {
    this.source.frozen = true;
    this.source.running = false;
    return { movedAs: 'db-moved-1', exitCode: 0, forced: false, stopMs: 1, bases: [] };
  }

  #stage(): unknown {
    if (this.#fenced && this.target.permit === 'refused') throw refused();
    this.target.staged = true;
    return { containerId: 'c'.repeat(64), layersFetched: 0, imageBytes: 0 };
  }

  #arm(): unknown {
    if (!this.source.frozen) throw new Error('armed while the source may write');
    this.target.armed = true;
    return { files: 1, armMs: 4 };
  }

  #start(): unknown {
    if (this.#fenced && this.target.permit === 'refused') throw refused();
    if (this.#definition.mounts.length > 0 && !this.target.armed)
      throw new Error('started without its data or protection');
    this.target.permit = 'used';
    this.target.running = true;
    this.#check();
    return { running: true, health: 'healthy', startMs: 11, upMs: 5 };
  }

  #refuse(): unknown {
    if (this.target.running) throw new CargoError('TARGET_STARTED', 'it runs here');
    this.target.permit = 'refused';
    return {};
  }

  #abandon(): unknown {
    this.#refuse();
    this.target.staged = this.target.armed = false;
    return { removed: [], keptAs: this.keptAs, bases: this.bases };
  }

  #thaw(): unknown {
    this.source.frozen = false;
    this.source.running = true;
    this.#check();
    this.release();
    return { running: true };
  }

  /** The held-up command arrives. */
  release(): void {
    const held = this.#held;
    this.#held = null;
    try {
      held?.();
    } catch (error) {
      if (!(error instanceof CargoError)) throw error;
    }
  }

  #check(): void {
    if (this.source.running && this.target.running)
      throw new TwoRunners(`two runners, with ${JSON.stringify(this.#fault)}`);
  }

  async describe(): Promise<DescribeResponse> {
    return { definition: this.#definition, findings: [] };
  }

  async preflight(): Promise<PreflightResponse> {
    return { findings: [], imagePresent: true, sameFiles: [], lazy: [{ index: 0, reason: null }] };
  }

  async controlHydration(): Promise<void> {}

  async forget({ id: hostId }: Host): Promise<void> {
    const { onForget } = this;
    if (onForget === 'server dies') {
      this.onForget = 'works';
      throw this.#die();
    }
    if (onForget === 'agent is away') {
      this.onForget = 'works';
      throw unreachable('forget');
    }
    this.forgottenBy.add(hostId);
  }

  async list(): Promise<Host[]> {
    return this.hosts;
  }

  async get(hostId: string): Promise<Host> {
    return this.resolve(hostId);
  }

  async resolve(reference: string): Promise<Host> {
    const found = this.hosts.find((candidate) => candidate.id === reference || candidate.name === reference);
    if (found === undefined) throw new CargoError('HOST_NOT_FOUND', `there is no host ${reference}`);
    return found;
  }

  async containers(): Promise<HostContainers[]> {
    const summary = {
      Id: definition.id,
      Names: ['/db'],
      Image: 'db',
      Command: '',
      Created: 0,
      Status: 'Up',
      Ports: [],
    };
    return this.hosts.map((entry, index) => ({ host: entry, stale: false, containers: index === 0 ? [summary] : [] }));
  }
}

function unreachable(key: string): CargoError {
  return new CargoError('AGENT_UNREACHABLE', `no answer to ${key}`);
}

function refused(): CargoError {
  return new CargoError('PERMIT_REFUSED', 'this migration was abandoned here');
}

function host(name: string, hostId: string): Host {
  const now = new Date().toISOString();
  return {
    id: hostId,
    name,
    status: 'ready',
    joinedAt: now,
    lastSeenAt: now,
    dataAddress: `${name}:5005`,
    version: '0',
    abilities: [...abilities, LAZY],
    kernel: '6.18',
    architecture: 'x86_64',
    dockerVersion: '26.1.5',
    dockerRoot: '/var/lib/docker',
    storageDriver: 'overlay2',
  };
}

const volume: DataMount = {
  ...({ index: 0, kind: 'volume', name: 'db', anonymous: false, path: '/v/db/_data', isFile: false } as const),
  ...{ destinations: ['/data'], readOnly: false, labels: {}, driverOpts: {}, files: 3, bytes: 300, fingerprint: null },
  strategy: 'precopy',
};

const definition: ContainerDefinition = {
  id: 'a'.repeat(64),
  name: 'db',
  running: true,
  inspect: {},
  image: {
    id: 'i',
    reference: 'db',
    referenceIsCurrent: true,
    layers: [],
    bytes: 0,
    architecture: 'amd64',
    os: 'linux',
  },
  networks: [],
  mounts: [],
  attached: [],
};
