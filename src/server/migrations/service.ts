import type { Host, KnownMigration } from '../../api/host.ts';
import type {
  ControlOptions,
  FailoverOptions,
  MigrateOptions,
  Migration,
  Phase,
  RecoverOptions,
} from '../../api/migration.ts';
import type { Plan } from '../../api/plan.ts';

/** What the routes may ask of the migrations. All errors are CargoErrors. */
export interface MigrationService {
  plan(options: MigrateOptions, signal: AbortSignal): Promise<Plan>;
  /** Pre-flight, then the record: answers in phase `planned` or throws BLOCKED with the findings. The rest goes on by itself. */
  begin(options: MigrateOptions, signal: AbortSignal): Promise<Migration>;
  get(id: string): Promise<Migration>;
  /** Newest first. */
  list(filter: { container?: string; phase?: Phase }): Promise<Migration[]>;
  /** The newest migration of a container by name or id (or a unique prefix of it). @throws MIGRATION_NOT_FOUND */
  latestOf(container: string): Promise<Migration>;
  /** Resolves when the container runs at the target; throws the migration's failure when it ended otherwise. */
  untilRunning(id: string, signal: AbortSignal): Promise<Migration>;
  failover(id: string, options: FailoverOptions): Promise<Migration>;
  cancel(id: string): Promise<Migration>;
  /** The bandwidth limit, and whether the background copy rests. @throws CargoError WRONG_PHASE once all data is there */
  control(id: string, options: ControlOptions): Promise<Migration>;
  /**
   * Begins to compare the target's data with what the source sent; `verification` of the migration tells how it goes.
   * @throws CargoError WRONG_PHASE unless both sides still have it, or while another verification runs
   */
  verify(id: string): Promise<Migration>;
  /** Lets go of a host that is to be removed; returns what stays on it. @throws CargoError WRONG_PHASE while it is needed */
  leave(host: Host, options: { force: boolean }): Promise<string[]>;
  /** Gives one side up for good. @throws CargoError WRONG_PHASE, LOSS_NOT_ACCEPTED */
  recover(id: string, options: RecoverOptions): Promise<Migration>;
  /** Those of the migrations whose container is at home on the host that asks, having come to it by them. */
  mayRun(hostId: string, ids: readonly string[]): Promise<string[]>;
  /** A host said what it has records of: what the Store doesn't know of that is rebuilt. */
  reported(hostId: string, known: readonly KnownMigration[]): void;
  /** Called with every change (progress included) until the signal aborts. */
  subscribe(listener: (migration: Migration) => void, signal: AbortSignal): void;
}
