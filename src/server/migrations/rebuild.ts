import type { Logger } from 'pino';
import type { AgentRecord } from '../../api/agent-records.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerDefinition } from '../../api/container-definition.ts';
import type { Host, KnownMigration } from '../../api/host.ts';
import type { Holds } from './holds.ts';
import type { MigrationStore } from './migration-store.ts';
import type { Hosts } from './ports.ts';
import { rebuild, type Verdict, verdictOn, verdictOnUnknown, type Witnesses } from './rebuild-record.ts';
import { hasWork, type StoredMigration } from './record.ts';

/** All records of migrations that the agent of a host has. @throws CargoError AGENT_UNREACHABLE */
export type AskRecords = (host: Host, signal: AbortSignal) => Promise<AgentRecord[]>;

export type RebuildPorts = {
  hosts: Hosts;
  migrations: MigrationStore;
  holds: Holds;
  ask: AskRecords;
  /** A record as that of a migration that begins. */
  begin: (id: string, definition: ContainerDefinition, source: Host, target: Host) => Promise<StoredMigration>;
  isDriven: (id: string) => boolean;
  drive: (id: string) => void;
  log: Logger;
  signal: AbortSignal;
};

type Pair = { sourceId: string; targetId: string };

/**
 * Makes good what the Store doesn't know, after a restore from a backup: the hosts of a migration are asked for their
 * records, and what follows from both is what the migration is from then on. Until both have answered nothing is done for
 * it: what only one of them knows may be that the container runs there.
 */
export class Rebuilder {
  readonly #ports: RebuildPorts;
  /** What each host reported last, to do nothing where it says the same again. */
  readonly #reported = new Map<string, string>();
  readonly #pending = new Map<string, Set<string>>();
  readonly #busy = new Set<string>();

  constructor(ports: RebuildPorts) {
    this.#ports = ports;
  }

  /** Whether the host has said, since the server started, what it has records of. */
  hasHeard(hostId: string): boolean {
    return this.#reported.has(hostId);
  }

  /** What a host said with a heartbeat. Resolves once all that it gives rise to is done, or can't be done yet. */
  async reported(hostId: string, known: readonly KnownMigration[]): Promise<void> {
    const { migrations, holds } = this.#ports;
    const text = JSON.stringify(known);
    const isNew = this.#reported.get(hostId) !== text;
    this.#reported.set(hostId, text);
    for (const { id, epoch } of isNew ? known : []) {
      const stored = await migrations.find(id);
      const isNews = stored === null || (stored.epoch < epoch && takesPart(stored, hostId));
      if (isNews) this.#expect(id, hostId);
    }
    for (const id of holds.ids()) {
      const stored = await migrations.find(id);
      if (stored !== null && takesPart(stored, hostId)) this.#expect(id, hostId);
    }
    const ids = [...this.#pending].filter(([, hostIds]) => hostIds.has(hostId)).map(([id]) => id);
    await Promise.all(ids.map((id) => this.#settle(id, hostId)));
  }

  /** The highest epoch that the hosts which answer have seen of a migration, or that the Store has. */
  async highestEpoch({ id, epoch, sourceId, targetId }: StoredMigration): Promise<number> {
    const { hosts, ask, signal } = this.#ports;
    const asked = [sourceId, targetId].map(async (hostId) => ask(await hosts.get(hostId), signal));
    const answers = await Promise.allSettled(asked);
    const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    return Math.max(epoch, ...records.filter((record) => record.id === id).map((record) => record.epoch));
  }

  #expect(id: string, ...hostIds: string[]): void {
    this.#pending.set(id, new Set([...(this.#pending.get(id) ?? []), ...hostIds]));
  }

  async #settle(id: string, reporterId: string): Promise<void> {
    const { isDriven, holds, migrations, log, signal } = this.#ports;
    if (this.#busy.has(id) || isDriven(id)) return;
    this.#busy.add(id);
    try {
      await this.#settleOnce(id, reporterId);
    } catch (thrown) {
      if (signal.aborted) return;
      const { message } = CargoError.from(thrown);
      const stored = await migrations.find(id);
      const activity = `waiting for what both hosts know of it, since the server was restored: ${message}`;
      if (stored !== null && holds.has(id) && stored.activity !== activity) await migrations.update(id, { activity });
      log.warn({ migration: id, reason: message }, 'what the hosts know of a migration is not known yet');
    } finally {
      this.#busy.delete(id);
    }
  }

  async #settleOnce(id: string, reporterId: string): Promise<void> {
    const { migrations, hosts, holds } = this.#ports;
    const stored = await migrations.find(id);
    const pair = stored ?? (await this.#pairFrom(id, reporterId));
    if (pair === null) {
      this.#pending.delete(id);
      return;
    }
    this.#expect(id, pair.sourceId, pair.targetId);
    const [source, target] = [await hosts.get(pair.sourceId), await hosts.get(pair.targetId)];
    const witnesses = await this.#ask(id, source, target);
    if (stored === null && contradict(witnesses, pair)) {
      this.#pending.delete(id);
      this.#ports.log.error({ migration: id, hostId: reporterId }, 'a host reports a migration that the other disowns');
      return;
    }
    // The target's was given to it by a server; the source may say what it likes by now.
    const definition = stored?.definition ?? witnesses.target?.definition ?? witnesses.source?.definition ?? null;
    if (definition === null) throw new CargoError('INTERNAL', 'neither host has kept what the container is');
    const verdict = stored === null ? verdictOnUnknown(witnesses) : verdictOn(witnesses);
    if (verdict.is === 'unclear') await holds.add(id);
    const known = stored ?? (await this.#ports.begin(id, definition, source, target));
    await this.#adopt(rebuild(known, witnesses, verdict), verdict, stored);
    this.#pending.delete(id);
  }

  /** `before`: the record that this was concluded with. @throws CargoError WRONG_PHASE when there is another by now */
  async #adopt(rebuilt: StoredMigration, verdict: Verdict, before: StoredMigration | null): Promise<void> {
    const { migrations, holds, drive, log } = this.#ports;
    const { id, phase, epoch } = rebuilt;
    if (verdict.is === 'over' && before === null) return;
    await migrations.adopt(rebuilt, before);
    log.warn({ migration: id, phase, epoch, verdict: verdict.is }, 'migration is rebuilt from what its hosts know');
    if (verdict.is === 'unclear') {
      log.error(
        { migration: id, reason: verdict.reason },
        'only an operator can end this migration: see cargoctl recover',
      );
      return;
    }
    if (phase === 'completed' && !rebuilt.cleanedUp) await migrations.keepBases(rebuilt.sourceId, rebuilt.leftAtSource);
    await holds.remove(id);
    if (hasWork(rebuilt)) drive(id);
  }

  async #ask(id: string, source: Host, target: Host): Promise<Witnesses> {
    const { ask, signal } = this.#ports;
    const [fromSource, fromTarget] = await Promise.all([ask(source, signal), ask(target, signal)]);
    const of = (records: AgentRecord[]): AgentRecord | null => records.find((record) => record.id === id) ?? null;
    return { source: of(fromSource), target: of(fromTarget) };
  }

  /** The two hosts of a migration that the Store doesn't know; null where the reporter doesn't know them either. */
  async #pairFrom(id: string, reporterId: string): Promise<Pair | null> {
    const { hosts, ask, signal } = this.#ports;
    const record = (await ask(await hosts.get(reporterId), signal)).find((candidate) => candidate.id === id);
    if (record === undefined || record.peer === null || record.definition === null) return null;
    const other = record.peer.hostId;
    const isSource = record.source !== null;
    const [sourceId, targetId] = isSource ? [reporterId, other] : [other, reporterId];
    return { sourceId, targetId };
  }
}

function takesPart({ sourceId, targetId }: Pair, hostId: string): boolean {
  return hostId === sourceId || hostId === targetId;
}

/** Whether one of them was told of another peer, so that the two do not belong to one migration. */
function contradict({ source, target }: Witnesses, { sourceId, targetId }: Pair): boolean {
  const namesOther = (record: AgentRecord | null, hostId: string): boolean =>
    record !== null && record.peer !== null && record.peer.hostId !== hostId;
  return namesOther(source, targetId) || namesOther(target, sourceId);
}
