import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import type { StepInput, StepName, StepOutput, StepProgress } from '../../api/agent-steps.ts';
import type { RoundConnection } from '../volume/index.ts';
import type { MigrationRecord } from './record.ts';

/** The source's agent as the target sees it, for the one migration that the context belongs to. */
export interface SourcePeer {
  /** A `docker load` tar of the image without the layers that are here already. */
  fetchImage(haveLayers: readonly string[], signal: AbortSignal): Promise<Readable>;
  /** The connection over which one round of one mount travels. */
  openRound(
    request: {
      mountIndex: number;
      round: number;
      final: boolean;
      bwlimit: number | null;
      contentLimit?: number;
      /** For so many ms of the round larger files travel with their content all the same. */
      wholeMs?: number;
      /** Of those that were changed last so much travels with its content in any case. */
      freshBytes?: number;
    },
    signal: AbortSignal,
  ): Promise<RoundConnection>;
  /** The connection over which one mount is verified. */
  openVerification(mountIndex: number, signal: AbortSignal): Promise<RoundConnection>;
}

/** What a step handler gets. Handlers of one migration never run at the same time. */
export interface StepContext {
  readonly migrationId: string;
  /** This migration's own directory, for manifests and the like; removed when the server forgets the migration. */
  readonly directory: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  record(): MigrationRecord;
  /** The records of all other migrations that this host takes part in. */
  others(): readonly MigrationRecord[];
  /** Changes the record and returns once the change is durable. */
  update(change: (record: MigrationRecord) => MigrationRecord): Promise<void>;
  report(progress: StepProgress): void;
  source(): SourcePeer;
}

export type StepHandler<S extends StepName> = (context: StepContext, input: StepInput<S>) => Promise<StepOutput<S>>;
export type StepHandlers = { readonly [S in StepName]: StepHandler<S> };
