import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type Migration, openPhases, phases } from '../api/migration.ts';
import { HydrationMetrics } from './hydration-metrics.ts';
import type { Hosts } from './migrations/ports.ts';
import type { MigrationService } from './migrations/service.ts';

/** `fetched`: on demand and in the background, by the hydrator that runs. */
type Counted = { inRounds: number; fetched: number };

export type MetricsParts = { hosts: Hosts; migrations: MigrationService; certificateEnd: () => Date };

/** Prometheus metrics: gauges are read from the parts when they are asked for, the rest is counted as it happens. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Histogram<'method' | 'route' | 'status'>;
  readonly #bytes: Counter;
  readonly #downtime: Histogram;
  readonly #hydration: HydrationMetrics;
  readonly #migrations: MigrationService;
  /** Bytes of each open migration that are counted already. */
  readonly #counted = new Map<string, Counted>();

  constructor(parts: MetricsParts, until: AbortSignal) {
    const { hosts, migrations } = parts;
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    addHostGauge(registers, hosts);
    addMigrationGauge(registers, migrations);
    addCertificateGauges(registers, parts);
    this.#hydration = new HydrationMetrics(registers);
    this.#migrations = migrations;
    this.#requests = new Histogram({
      name: 'cargo_http_request_duration_seconds',
      help: 'Time to answer requests of the REST API.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
      registers,
    });
    this.#bytes = new Counter({ name: 'cargo_copied_bytes_total', help: 'Content bytes that travelled.', registers });
    this.#downtime = new Histogram({
      name: 'cargo_migration_downtime_seconds',
      help: 'From stop at the source to running at the target.',
      buckets: [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128],
      registers,
    });
    migrations.subscribe((migration) => this.#see(migration), until);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    this.#hydration.set(await this.#migrations.list({ phase: 'hydrating' }));
    return this.#registry.metrics();
  }

  observeRequest(request: { method: string; route: string; status: number; seconds: number }): void {
    const { method, route, status } = request;
    this.#requests.observe({ method, route, status: String(status) }, request.seconds);
  }

  #see({ id, phase, rounds, hydration, downtimeMs }: Migration): void {
    const open = openPhases.includes(phase);
    const before = this.#counted.get(id);
    if (!open && before === undefined) return;
    const { inRounds, fetched } = before ?? { inRounds: 0, fetched: 0 };
    const now = {
      inRounds: rounds.reduce((sum, round) => sum + round.bytes, 0),
      // a change that says nothing of the hydration
      fetched: hydration.length === 0 ? fetched : hydration.reduce((sum, volume) => sum + volume.bytesFetched, 0),
    };
    // a hydrator that was replaced counts from 0 again
    const more = now.fetched < fetched ? now.fetched : now.fetched - fetched;
    this.#bytes.inc(Math.max(0, now.inRounds - inRounds) + more);
    if (open) this.#counted.set(id, now);
    else this.#counted.delete(id);
    if (phase === 'copied' && downtimeMs !== null) this.#downtime.observe(downtimeMs / 1000);
  }
}

function addHostGauge(registers: Registry[], hosts: Hosts): void {
  new Gauge({
    name: 'cargo_hosts',
    help: 'Registered hosts by status.',
    labelNames: ['status'],
    registers,
    async collect() {
      const all = await hosts.list();
      for (const status of ['ready', 'docker-down', 'away']) {
        this.set({ status }, all.filter((host) => host.status === status).length);
      }
    },
  });
}

function addMigrationGauge(registers: Registry[], migrations: MigrationService): void {
  new Gauge({
    name: 'cargo_migrations',
    help: 'Migrations by phase.',
    labelNames: ['phase'],
    registers,
    async collect() {
      const all = await migrations.list({});
      for (const phase of phases) this.set({ phase }, all.filter((migration) => migration.phase === phase).length);
    },
  });
}

/** A certificate renews itself when a third of its life is left: one that goes far below that needs somebody to look. */
function addCertificateGauges(registers: Registry[], { hosts, certificateEnd }: MetricsParts): void {
  const secondsUntil = (end: number): number => Math.round((end - Date.now()) / 1000);
  new Gauge({
    name: 'cargo_server_certificate_seconds_left',
    help: "Life that is left of the server's certificate.",
    registers,
    collect() {
      this.set(secondsUntil(certificateEnd().getTime()));
    },
  });
  new Gauge({
    name: 'cargo_host_certificate_seconds_left',
    help: 'Life that is left of the certificate that the agent last showed.',
    labelNames: ['host'],
    registers,
    async collect() {
      this.reset();
      for (const { name, certificateEndsAt } of await hosts.list()) {
        if (certificateEndsAt !== undefined) this.set({ host: name }, secondsUntil(Date.parse(certificateEndsAt)));
      }
    },
  });
}
