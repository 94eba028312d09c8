import type {
  DescribeResponse,
  HydrationControl,
  PreflightRequest,
  PreflightResponse,
  StepInput,
  StepName,
  StepOutput,
  StepProgress,
} from '../../api/agent-steps.ts';
import type { CargoError } from '../../api/cargo-error.ts';
import type { Host, HostContainers } from '../../api/host.ts';

/** The registry of hosts, as the orchestrator needs it. */
export interface Hosts {
  list(): Promise<Host[]>;
  /** By id. @throws CargoError HOST_NOT_FOUND */
  get(hostId: string): Promise<Host>;
  /** By name, id (or a unique prefix of 8 or more characters of it), address or address:port. @throws CargoError HOST_NOT_FOUND */
  resolve(reference: string): Promise<Host>;
  /** Containers of every host, asked in parallel; a host that does not answer within the limit is shown stale. */
  containers(limitMs: number): Promise<HostContainers[]>;
}

export type StepRequest<S extends StepName> = { key: string; step: S; epoch: number; input: StepInput<S> };

export type StepOptions = {
  signal: AbortSignal;
  onProgress: (progress: StepProgress) => void;
  /** Told whenever the agent says that the step runs. */
  onHeard?: () => void;
  /** How long an agent that can't be asked is asked again, ms; unless said otherwise ten seconds, which is the most. */
  lostMs?: number;
  /** Told whenever it can't be asked. */
  onLost?: (error: CargoError) => void;
};

/** The agents, as the orchestrator needs them. Every call throws AGENT_UNREACHABLE when the agent can't be reached. */
export interface Agents {
  describe(host: Host, container: string, signal: AbortSignal): Promise<DescribeResponse>;
  preflight(host: Host, request: PreflightRequest, signal: AbortSignal): Promise<PreflightResponse>;
  /**
   * Sends the step (PUT) and waits until it ended (long polls). A step that failed throws the agent's error. Safe to
   * call again with the same key: a finished step answers its recorded outcome.
   */
  step<S extends StepName>(
    host: Host,
    migrationId: string,
    request: StepRequest<S>,
    options: StepOptions,
  ): Promise<StepOutput<S>>;
  /** While data follows the container at the target. @throws CargoError WRONG_PHASE when none does */
  controlHydration(host: Host, migrationId: string, control: HydrationControl, signal: AbortSignal): Promise<void>;
  /** The agent drops its record of a migration that is over. */
  forget(host: Host, migrationId: string, signal: AbortSignal): Promise<void>;
}
