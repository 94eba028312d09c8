import type { Readable } from 'node:stream';
import type { DescribeResponse, HydrationControl, PreflightRequest, PreflightResponse } from '../../api/agent-steps.ts';
import type { ContainerDefinition } from '../../api/container-definition.ts';
import type { ContainerSummary } from '../../api/host.ts';
import type { StepContext, StepHandlers } from '../migrations/step-context.ts';

/** What the local Docker daemon says of itself. */
export type DockerFacts = { dockerVersion: string; dockerRoot: string; storageDriver: string; architecture: string };

/** All that the agent does with containers and images; the shell around it does the network and the records. */
export interface ContainerModule {
  /** Every step but `copy` and `verify`, which are volume data. */
  readonly handlers: Omit<StepHandlers, 'copy' | 'verify'>;
  /** A container that was held at boot may run: the server says that this host is its home. */
  letGo(context: StepContext): Promise<void>;
  /**
   * When the agent starts: what data still follows is protected again, and the container that waits for it started.
   * True when it could not be started now.
   */
  wake(context: StepContext): Promise<boolean>;
  /** Between steps: what data still follows stays protected. @throws CargoError SUSPECT when it has not been */
  keepProtected(context: StepContext): Promise<void>;
  /** Begins to make ready what the switch will need; `loaded` resolves when that has ended, or some seconds later. */
  warm(context: StepContext): Promise<{ loaded: Promise<void> }>;
  /** The last round is here: begins to connect for what it left out. */
  connectAhead(context: StepContext): void;
  /** @throws CargoError WRONG_PHASE when no data follows any more */
  controlHydration(context: StepContext, control: HydrationControl): Promise<void>;
  /** @throws CargoError CONTAINER_NOT_FOUND, CONTAINER_AMBIGUOUS, DOCKER_UNREACHABLE */
  describe(container: string, signal: AbortSignal): Promise<DescribeResponse>;
  preflight(request: PreflightRequest, signal: AbortSignal): Promise<PreflightResponse>;
  /** All containers, stopped ones too. @throws CargoError DOCKER_UNREACHABLE */
  containers(signal: AbortSignal): Promise<ContainerSummary[]>;
  /** null while the daemon does not answer. */
  dockerFacts(signal: AbortSignal): Promise<DockerFacts | null>;
  /** A `docker load` tar of the container's image without the layers named (diff ids, base first). */
  exportImage(definition: ContainerDefinition, haveLayers: string[], signal: AbortSignal): Promise<Readable>;
}
