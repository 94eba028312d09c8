import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { type AgentRecord, AgentRecords } from '../../api/agent-records.ts';
import {
  agentSteps,
  DescribeResponse,
  type HydrationControl,
  type PreflightRequest,
  PreflightResponse,
  type StepName,
  type StepOutput,
  StepReport,
} from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import { ContainerSummary, type Host } from '../../api/host.ts';
import { namedStep } from '../../faults/points.ts';
import { reach } from '../../faults/reach.ts';
import type { Agents, StepOptions, StepRequest } from '../migrations/ports.ts';
import type { Credentials } from '../pki/server-certificate.ts';
import { type AgentAnswer, type AgentRequest, callAgent, saidBy } from './agent-call.ts';
import { AgentConnections } from './agent-connections.ts';

/** Describing counts every file of a container's volumes. */
const LOOK_LIMIT_MS = 300_000;
const CALL_LIMIT_MS = 10_000;
const FORGET_LIMIT_MS = 60_000;
/** So often is progress told at least. */
const POLL_MS = 500;
/** How long a lost connection is tried again while a step is waited for, and how often. */
const LOST_LIMIT_MS = 10_000;
const LOST_PAUSE_MS = 500;
/** Who has little patience does not wait longer for an answer either: this much a busy agent may take. */
const SHORTEST_CALL_MS = 3_000;

/** The agents over mutual TLS. Each is believed only if its certificate is that of the host that is meant. */
export class AgentClient implements Agents {
  readonly #connections: AgentConnections;
  readonly #term: number;
  readonly #lists = new Map<string, { tag: string; containers: ContainerSummary[] }>();

  /** `term`: of this server, see HeartbeatAnswer. */
  constructor(credentials: Credentials, term = 0) {
    this.#term = term;
    this.#connections = new AgentConnections(credentials);
  }

  /** From now on the server shows itself with this certificate. */
  renew(credentials: Credentials): void {
    this.#connections.renew(credentials);
  }

  /**
   * Nothing comes any more on the connections to a host whose agent was started anew. After a power cut nobody else says so
   * before a limit has passed; what is under way fails at once.
   */
  hangUp(hostId: string): void {
    this.#connections.hangUp(hostId);
  }

  /** Asked anew each time; the same array while nothing has changed there, so what it was turned into can be kept. */
  async containers(host: Host, signal: AbortSignal): Promise<ContainerSummary[]> {
    const last = this.#lists.get(host.id);
    const request: AgentRequest = {
      ...({ method: 'GET', path: '/v1/containers', limitMs: CALL_LIMIT_MS } as const),
      ...(last === undefined ? {} : { knownTag: last.tag }),
    };
    const { body, tag, isKnown } = await this.#ask(host, request, signal);
    if (isKnown && last !== undefined) return last.containers;
    const { containers } = check(host, ContainersResponse, body);
    if (tag === null) this.#lists.delete(host.id);
    else this.#lists.set(host.id, { tag, containers });
    return containers;
  }

  async records(host: Host, signal: AbortSignal): Promise<AgentRecord[]> {
    const request: AgentRequest = { method: 'GET', path: '/v1/migrations', limitMs: CALL_LIMIT_MS };
    return (await this.#call(host, request, AgentRecords, signal)).migrations;
  }

  describe(host: Host, container: string, signal: AbortSignal): Promise<DescribeResponse> {
    const request: AgentRequest = { method: 'POST', path: '/v1/describe', body: { container }, limitMs: LOOK_LIMIT_MS };
    return this.#call(host, request, DescribeResponse, signal);
  }

  preflight(host: Host, body: PreflightRequest, signal: AbortSignal): Promise<PreflightResponse> {
    const request: AgentRequest = { method: 'POST', path: '/v1/preflight', body, limitMs: LOOK_LIMIT_MS };
    return this.#call(host, request, PreflightResponse, signal);
  }

  async step<S extends StepName>(
    host: Host,
    migrationId: string,
    request: StepRequest<S>,
    options: StepOptions,
  ): Promise<StepOutput<S>> {
    const name = namedStep(request.step, request.input);
    await reach(`server.${name}.send`);
    const report = await this.#untilEnded(host, stepPath(migrationId, request.key), request, options);
    await reach(`server.${name}.answered`);
    if (report.state === 'failed') throw saidBy(host, { error: report.error ?? noReason(host, request.step) });
    return check(host, agentSteps[request.step].output as unknown as z.ZodType<StepOutput<S>>, report.output);
  }

  async controlHydration(host: Host, migrationId: string, body: HydrationControl, signal: AbortSignal): Promise<void> {
    const path = `/v1/migrations/${encodeURIComponent(migrationId)}/hydration`;
    await this.#call(host, { method: 'PUT', path, body, limitMs: CALL_LIMIT_MS }, z.unknown(), signal);
  }

  async forget(host: Host, migrationId: string, signal: AbortSignal): Promise<void> {
    const path = `/v1/migrations/${encodeURIComponent(migrationId)}`;
    try {
      await this.#call(host, { method: 'DELETE', path, limitMs: FORGET_LIMIT_MS }, z.unknown(), signal);
    } catch (error) {
      if (!(error instanceof CargoError) || !isUnknown(error)) throw error;
    }
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  /**
   * Sends the command, then polls. After anything that went wrong on the way it is sent again, which also tells an agent
   * that was restarted to carry on.
   */
  async #untilEnded<S extends StepName>(
    host: Host,
    path: string,
    request: StepRequest<S>,
    options: StepOptions,
  ): Promise<StepReport> {
    const { step, epoch, input } = request;
    const lostLimitMs = Math.min(LOST_LIMIT_MS, options.lostMs ?? LOST_LIMIT_MS);
    const limitMs = Math.min(CALL_LIMIT_MS, Math.max(SHORTEST_CALL_MS, lostLimitMs));
    const put: AgentRequest = { method: 'PUT', path, body: { step, epoch, input }, limitMs };
    const poll: AgentRequest = { method: 'GET', path: `${path}?waitMs=${POLL_MS}`, limitMs: POLL_MS + CALL_LIMIT_MS };
    let next = put;
    let heardAtMs = Date.now();
    for (;;) {
      try {
        const report = await this.#call(host, next, StepReport, options.signal);
        if (report.state !== 'running') return report;
        options.onHeard?.();
        if (report.progress !== null) options.onProgress(report.progress);
        heardAtMs = Date.now();
        next = poll;
      } catch (error) {
        if (!mayPass(error, next) || Date.now() - heardAtMs > lostLimitMs) throw error;
        options.onLost?.(error);
        await delay(LOST_PAUSE_MS, undefined, { signal: options.signal });
        next = put;
      }
    }
  }

  #ask(host: Host, request: AgentRequest, signal: AbortSignal): Promise<AgentAnswer> {
    return callAgent(this.#connections.to(host), host, { ...request, term: this.#term }, signal);
  }

  async #call<T>(host: Host, request: AgentRequest, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return check(host, schema, (await this.#ask(host, request, signal)).body);
  }
}

const ContainersResponse = z.object({ containers: z.array(ContainerSummary) });

function stepPath(migrationId: string, key: string): string {
  return `/v1/migrations/${encodeURIComponent(migrationId)}/steps/${encodeURIComponent(key)}`;
}

/** A poll that finds no such step met an agent that was restarted before it had anything to remember. */
function mayPass(error: unknown, request: AgentRequest): error is CargoError {
  if (!(error instanceof CargoError)) return false;
  return error.code === 'AGENT_UNREACHABLE' || (request.method === 'GET' && isUnknown(error));
}

function isUnknown(error: CargoError): boolean {
  return error.code === 'NOT_FOUND' || error.code === 'MIGRATION_NOT_FOUND';
}

function noReason(host: Host, step: StepName): { code: string; message: string } {
  return { code: 'INTERNAL', message: `${step} failed on ${host.name} without a reason` };
}

function check<T>(host: Host, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  throw new CargoError('PROTOCOL_ERROR', `the agent of ${host.name} gave an answer that makes no sense: ${fields}`);
}
