import type { ContainerSummary, Host, HostFacts } from '../../api/host.ts';
import type { HostRecord } from './record.ts';

/** Agents send a heartbeat every 2 s: three were missed. */
export const AWAY_AFTER_MS = 6_000;

/** Renewal is due when a third is left, and is tried often from then on. */
const OVERDUE_PART = 0.25;

/** When a certificate begins and ends, ms since the epoch. */
export type Validity = { fromMs: number; toMs: number };

/** A host as this server knows it right now. The Store has what must outlive the server. */
export class KnownHost {
  record: HostRecord;
  containers: ContainerSummary[];
  lastSeenMs: number;
  certificate: Validity | null = null;
  /** Of its agent's process; null where it hasn't been heard since the server started. */
  run: string | null = null;

  constructor(record: HostRecord, containers: ContainerSummary[]) {
    this.record = record;
    this.containers = containers;
    this.lastSeenMs = Date.parse(record.lastSeenAt);
  }

  /** True when the facts are others than before. */
  see(facts: HostFacts, nowMs: number): boolean {
    const changed = JSON.stringify(facts) !== JSON.stringify(this.record.facts);
    this.lastSeenMs = nowMs;
    this.record = { ...this.record, facts, lastSeenAt: new Date(nowMs).toISOString() };
    return changed;
  }

  view(nowMs: number): Host {
    const { id, name, facts, joinedAt, lastSeenAt } = this.record;
    return { ...facts, id, name, joinedAt, lastSeenAt, status: this.#status(nowMs), ...this.#certificate(nowMs) };
  }

  #certificate(nowMs: number): Pick<Host, 'certificateEndsAt' | 'renewalOverdue'> {
    if (this.certificate === null) return {};
    const { fromMs, toMs } = this.certificate;
    const renewalOverdue = toMs - nowMs < (toMs - fromMs) * OVERDUE_PART;
    return { certificateEndsAt: new Date(toMs).toISOString(), renewalOverdue };
  }

  #status(nowMs: number): Host['status'] {
    if (nowMs - this.lastSeenMs > AWAY_AFTER_MS) return 'away';
    return this.record.facts.dockerVersion === null ? 'docker-down' : 'ready';
  }
}
