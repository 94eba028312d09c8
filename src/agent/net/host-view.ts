import { machine, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { abilities, type ContainerSummary, type Heartbeat, type HostFacts, LAZY } from '../../api/host.ts';
import { version } from '../../version.ts';
import type { ContainerModule, DockerFacts } from '../container/module.ts';
import type { AdvertisedAddress } from './advertised-address.ts';

/** How long one look at Docker may take at all, how long a caller waits for it, how old a look may get. */
const LOOK_LIMIT_MS = 10_000;
const PATIENCE_MS = 1_000;
const USABLE_MS = 10_000;

type Look = { docker: DockerFacts | null; containers: ContainerSummary[] | null; takenAt: number };
type Docker = Pick<ContainerModule, 'dockerFacts' | 'containers'>;

/** What this host and its Docker daemon look like. A slow daemon never holds a caller up: then the last look counts. */
export class HostView {
  readonly #docker: Docker;
  readonly #address: AdvertisedAddress;
  readonly #abilities: readonly string[];
  readonly #held: () => string[];
  #last: Look | null = null;
  #looking: Promise<void> | null = null;
  #architecture = machine();

  /**
   * @param can what this agent says it can do; less than everything in tests alone
   * @param held migrations whose container waits for the server's word
   */
  constructor(
    docker: Docker,
    address: AdvertisedAddress,
    can: readonly string[] = [...abilities, LAZY],
    held: () => string[] = () => [],
  ) {
    this.#abilities = can;
    this.#docker = docker;
    this.#held = held;
    this.#address = address;
  }

  async facts(signal: AbortSignal): Promise<HostFacts> {
    return (await this.heartbeat(signal)).facts;
  }

  async heartbeat(signal: AbortSignal): Promise<Heartbeat> {
    const dataAddress = await this.#address.get(signal);
    const look = await this.#look(signal);
    const docker = look?.docker ?? null;
    this.#architecture = docker?.architecture ?? this.#architecture;
    return {
      facts: {
        dataAddress,
        version,
        abilities: [...this.#abilities],
        kernel: release(),
        architecture: this.#architecture,
        dockerVersion: docker?.dockerVersion ?? null,
        dockerRoot: docker?.dockerRoot ?? null,
        storageDriver: docker?.storageDriver ?? null,
      },
      containers: look?.containers ?? null,
      held: this.#held(),
    };
  }

  /** A fresh look if Docker is quick, else the last one if it's young enough, else null. */
  async #look(signal: AbortSignal): Promise<Look | null> {
    this.#looking ??= this.#take().finally(() => {
      this.#looking = null;
    });
    const patience = new AbortController();
    const waited = delay(PATIENCE_MS, undefined, { signal: AbortSignal.any([signal, patience.signal]) }).catch(
      () => {},
    );
    await Promise.race([this.#looking, waited]);
    patience.abort();
    const usable = this.#last !== null && Date.now() - this.#last.takenAt < USABLE_MS;
    return usable ? this.#last : null;
  }

  async #take(): Promise<void> {
    const signal = AbortSignal.timeout(LOOK_LIMIT_MS);
    const unanswered = () => null;
    const [docker, containers] = await Promise.all([
      this.#docker.dockerFacts(signal).catch(unanswered),
      this.#docker.containers(signal).catch(unanswered),
    ]);
    this.#last = { docker, containers, takenAt: Date.now() };
  }
}
