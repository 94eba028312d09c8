import type { Logger } from 'pino';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { ContainerSummary, type Heartbeat, type Host, type HostContainers } from '../../api/host.ts';
import type { Hosts } from '../migrations/ports.ts';
import type { Store } from '../store/store.ts';
import { AWAY_AFTER_MS, KnownHost, type Validity } from './known-host.ts';
import { HostRecord, hostKey } from './record.ts';
import { hostRemoved } from './removal.ts';
import { resolveHost } from './resolve.ts';
import type { Revocations } from './revocations.ts';

/** A heartbeat that says nothing new is written this rarely. */
const SAVED_EVERY_MS = 60_000;

export type AskContainers = (host: Host, signal: AbortSignal) => Promise<ContainerSummary[]>;

/** The hosts that joined: what they say is held in memory and written to the Store when it changes, or now and then. */
export class HostRegistry implements Hosts {
  readonly #store: Store;
  readonly #ask: AskContainers;
  readonly #revocations: Revocations;
  readonly #log: Logger;
  readonly #onRestart: (hostId: string) => void;
  readonly #now: () => number;
  readonly #known = new Map<string, KnownHost>();
  readonly #savedAtMs = new Map<string, number>();
  #loadedAtMs = 0;

  constructor(parts: {
    store: Store;
    ask: AskContainers;
    revocations: Revocations;
    log: Logger;
    /** Told of a host whose agent has been started anew. */
    onRestart?: (hostId: string) => void;
    now?: () => number;
  }) {
    this.#store = parts.store;
    this.#revocations = parts.revocations;
    this.#ask = parts.ask;
    this.#log = parts.log;
    this.#onRestart = parts.onRestart ?? (() => undefined);
    this.#now = parts.now ?? Date.now;
  }

  /** Reads what the Store has. To be called once, before anything else. */
  async load(): Promise<void> {
    this.#loadedAtMs = this.#now();
    for (const { value } of await this.#store.list('hosts/')) {
      const record = HostRecord.parse(JSON.parse(value));
      if (this.#revocations.has(record.id)) {
        await this.forget(record.id);
        continue;
      }
      const stored = await this.#store.get(containersKey(record.id));
      const containers = stored === null ? [] : z.array(ContainerSummary).parse(JSON.parse(stored.value));
      this.#known.set(record.id, new KnownHost(record, containers));
    }
  }

  async list(): Promise<Host[]> {
    const hosts = [...this.#known.values()].map((known) => known.view(this.#now()));
    return hosts.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  }

  async get(hostId: string): Promise<Host> {
    return this.#find(hostId).view(this.#now());
  }

  async resolve(reference: string): Promise<Host> {
    return resolveHost(await this.list(), reference);
  }

  async containers(limitMs: number): Promise<HostContainers[]> {
    const hosts = await this.list();
    return Promise.all(hosts.map((host) => this.#containersOf(host, limitMs)));
  }

  /** What joining needs to know of a host: null when it is new. */
  record(hostId: string): HostRecord | null {
    return this.#known.get(hostId)?.record ?? null;
  }

  /** Takes a host in, or changes what is known of it; returns once it is durable. */
  async keep(record: HostRecord): Promise<void> {
    await this.#store.put(hostKey(record.id), JSON.stringify(record));
    const known = this.#known.get(record.id);
    if (known === undefined) this.#known.set(record.id, new KnownHost(record, []));
    else known.record = record;
    this.#known.get(record.id)?.see(record.facts, this.#now());
  }

  /** @throws CargoError HOST_NOT_FOUND when the host is not registered here (any more): it must join again */
  async heartbeat(
    hostId: string,
    heartbeat: Pick<Heartbeat, 'facts' | 'containers' | 'run'>,
    certificate: Validity | null = null,
  ): Promise<void> {
    if (!this.#known.has(hostId) && !this.#revocations.has(hostId)) throw unknownAgent();
    const known = this.#find(hostId);
    known.certificate = certificate ?? known.certificate;
    if (known.run !== null && known.run !== heartbeat.run) this.#onRestart(hostId);
    known.run = heartbeat.run ?? null;
    const changed = known.see(heartbeat.facts, this.#now());
    if (heartbeat.containers !== null) known.containers = heartbeat.containers;
    const savedAtMs = this.#savedAtMs.get(hostId) ?? 0;
    if (changed || this.#now() - savedAtMs > SAVED_EVERY_MS) await this.#save(known);
  }

  /** Drops all that is known of a host that was removed. */
  async forget(hostId: string): Promise<void> {
    this.#known.delete(hostId);
    this.#savedAtMs.delete(hostId);
    await this.#store.delete(containersKey(hostId));
    await this.#store.delete(hostKey(hostId));
  }

  /** Writes what was seen since it was last written. */
  async close(): Promise<void> {
    for (const known of this.#known.values()) await this.#save(known);
  }

  #find(hostId: string): KnownHost {
    const known = this.#known.get(hostId);
    if (known !== undefined) return known;
    if (this.#revocations.has(hostId)) throw hostRemoved();
    throw new CargoError('HOST_NOT_FOUND', `there is no host with the id ${hostId}`);
  }

  async #containersOf(host: Host, limitMs: number): Promise<HostContainers> {
    const known = this.#find(host.id);
    if (!this.#mayAnswer(host)) return { host, stale: true, containers: known.containers };
    try {
      known.containers = await this.#ask(host, AbortSignal.timeout(limitMs));
      return { host, stale: false, containers: known.containers };
    } catch (error) {
      this.#log.debug({ host: host.name, err: error }, 'no list of containers: showing the last known ones');
      return { host, stale: true, containers: known.containers };
    }
  }

  /** A server that has just started has not heard of anybody yet. */
  #mayAnswer(host: Host): boolean {
    const justStarted = this.#now() - this.#loadedAtMs <= AWAY_AFTER_MS;
    return host.status === 'ready' || (host.status === 'away' && justStarted);
  }

  async #save(known: KnownHost): Promise<void> {
    const { record, containers } = known;
    if (this.#known.get(record.id) !== known) return;
    this.#savedAtMs.set(record.id, this.#now());
    await this.#store.put(hostKey(record.id), JSON.stringify(record));
    const key = containersKey(record.id);
    const value = JSON.stringify(containers);
    const stored = await this.#store.get(key);
    if (stored?.value !== value) await this.#store.put(key, value);
  }
}

/** Its certificate is good, so it had joined: what the server knew of it is lost. */
function unknownAgent(): CargoError {
  return new CargoError(
    'HOST_NOT_FOUND',
    'the server does not know this host any more (was it restored from a backup that is older than the join?): make a ' +
      "token with `cargoctl token create` and put it into the agent's --join-token-file; it joins by itself, as the same host",
  );
}

function containersKey(hostId: string): string {
  return `host-containers/${hostId}`;
}
