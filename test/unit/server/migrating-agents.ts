import { agentSteps, type StepCommand, type StepName, type StepOutput } from '../../../src/api/agent-steps.ts';
import type { ContainerDefinition } from '../../../src/api/container-definition.ts';
import { type Reply, summary, TestAgent } from './test-agent.ts';
import type { TestServer } from './test-server.ts';

const outputs: Record<Exclude<StepName, 'verify'>, unknown> = {
  serve: {},
  freeze: { movedAs: 'db-moved-1234', exitCode: 0, forced: false, stopMs: 5, bases: [] },
  thaw: { running: true },
  release: { removed: [] },
  stage: { containerId: 'target-id', layersFetched: 0, imageBytes: 0 },
  copy: { files: 3, deleted: 0, bytes: 100, totalFiles: 3, totalBytes: 100 },
  start: { running: true, health: 'none', startMs: 5 },
  arm: { files: 0 },
  hydrate: { files: 0 },
  refuse: {},
  abandon: { removed: [] },
  fence: { keptAs: null, removed: [] },
  finish: {},
};

export type MigratingAgents = AsyncDisposable & {
  source: TestAgent;
  target: TestAgent;
  token(): Promise<string>;
  /** Puts the container back on the source, as a new one of the same name. */
  reset(): void;
  holdCopy(): void;
  letCopyGo(): void;
  /** From now on a verification doesn't end, until it is told what to find. */
  holdVerify(): void;
  endVerify(found: Partial<StepOutput<'verify'>>): void;
  /** Resolves when the target was told to copy. */
  copying(): Promise<void>;
};

/** Hosts h1, with a container `db`, and h2, whose agents answer every step of a migration with success. */
export async function migratingAgents(server: TestServer): Promise<MigratingAgents> {
  const token = async (): Promise<string> => {
    const answer = await server.call('/v1/tokens', { body: { uses: 2 } });
    return (answer.body as { token: string }).token;
  };
  const join = await token();
  const source = await TestAgent.join(server, 'h1', { token: join });
  const target = await TestAgent.join(server, 'h2', { token: join });
  const asked = Promise.withResolvers<void>();
  const states = { copy: 'done', verify: 'done' };
  const found = { files: 3, bytes: 100, changed: 0, differences: 0, differing: [] as string[] };
  for (const agent of [source, target]) {
    agent.respond = ({ url, method }, body) => {
      const key = /\/steps\/([^?]*)/.exec(url)?.[1];
      if (key?.startsWith('copy')) asked.resolve();
      if (key !== undefined) return report(key, method === 'PUT' ? (body as StepCommand).step : null, states, found);
      return look(agent, url);
    };
    await agent.beat();
  }
  const reset = (): void => {
    source.containers = [summary('db')];
  };
  reset();
  return {
    source,
    target,
    token,
    reset,
    holdCopy: () => {
      states.copy = 'running';
    },
    letCopyGo: () => {
      states.copy = 'done';
    },
    holdVerify: () => {
      states.verify = 'running';
    },
    endVerify: (outcome) => {
      Object.assign(found, outcome);
      states.verify = 'done';
    },
    copying: () => asked.promise,
    async [Symbol.asyncDispose]() {
      await source[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}

function report(key: string, step: StepName | null, states: Record<string, string>, found: object): Reply {
  const name = step ?? (key.replace(/-\d+$/, '') as StepName);
  const state = states[name] ?? 'done';
  const progress = { activity: 'copying', filesDone: 1, filesTotal: 3, bytesDone: 10, bytesTotal: 100 };
  const output = state === 'done' ? agentSteps[name].output.parse(name === 'verify' ? found : outputs[name]) : null;
  return { body: { key, state, progress: state === 'running' ? progress : null, output, error: null } };
}

function look(agent: TestAgent, url: string): Reply {
  if (url === '/v1/containers') return { body: { containers: agent.containers } };
  if (url === '/v1/migrations') return { body: { migrations: [] } };
  if (url === '/v1/describe') return { body: { definition: definition(agent), findings: [] } };
  if (url === '/v1/preflight') return { body: { findings: [], imagePresent: true } };
  return { status: 200, body: {} };
}

function definition(agent: TestAgent): ContainerDefinition {
  return {
    id: agent.containers[0]?.Id ?? '',
    name: 'db',
    running: true,
    inspect: {},
    image: {
      id: 'sha256:1',
      reference: 'busybox',
      referenceIsCurrent: true,
      layers: [],
      bytes: 1,
      architecture: 'amd64',
      os: 'linux',
    },
    networks: [],
    mounts: [],
    attached: [],
  };
}
