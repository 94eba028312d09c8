import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { dockerSocket, findHost, findInit, type Lab } from '../lab/index.ts';
import { type HostName, hostNames } from './names.ts';
import { overlaps, runsOf, type Sign } from './runs.ts';

const AGAIN_MS = 50;
const SAMPLE_MS = 50;
const ANSWER_LIMIT_MS = 20_000;

const Event = z.object({ Action: z.string(), Actor: z.object({ ID: z.string() }), timeNano: z.number() });
const Summaries = z.array(z.object({ Id: z.string() }));
const State = z.object({
  State: z.object({ Running: z.boolean(), StartedAt: z.string(), FinishedAt: z.string() }),
});

/**
 * Writes down when which container ran on which host. It follows the event logs of both daemons; where a daemon was
 * away, which loses the log, it asks for each container's last start and end. Besides, it looks into the containers'
 * cgroups itself: a witness that needs no daemon.
 */
export class RunRecorder {
  readonly #lab: Lab;
  readonly #signs: Sign[] = [];
  readonly #seenTogether: string[] = [];
  readonly #stopped = new AbortController();

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  async start(): Promise<void> {
    for (const host of hostNames) void this.#follow(host);
    void this.#sample();
    for (const host of hostNames) await this.#lookBack(host);
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Everything on the host has ended by now. */
  powerWasCut(host: HostName): void {
    this.#signs.push({ kind: 'power-cut', host, at: Date.now() });
  }

  /** Sentences on every moment since the last call at which containers ran on both hosts; asks both daemons first. */
  async verdict(): Promise<string[]> {
    for (const host of hostNames) await this.#lookBack(host);
    const pairs = overlaps(runsOf(this.#signs)).map(([one, other]) => {
      const ms = Math.round(Math.min(one.until, other.until, Date.now()) - Math.max(one.from, other.from));
      return `two copies ran for ${ms} ms: ${one.container.slice(0, 12)} on ${one.host} and ${other.container.slice(0, 12)} on ${other.host}`;
    });
    return [...pairs, ...this.#seenTogether.splice(0)];
  }

  /** Forgets what is over. */
  forget(): void {
    const open = runsOf(this.#signs).filter(({ until }) => until === Number.POSITIVE_INFINITY);
    this.#signs.splice(0);
    for (const { host, container, from } of open) this.#signs.push({ kind: 'start', host, container, at: from });
  }

  async #follow(host: HostName): Promise<void> {
    const { signal } = this.#stopped;
    let sinceNano = 0;
    while (!signal.aborted) {
      try {
        const filters = encodeURIComponent(JSON.stringify({ type: ['container'], event: ['start', 'die'] }));
        const since = sinceNano === 0 ? '' : `&since=${(sinceNano / 1e9).toFixed(9)}`;
        const stream = await this.#ask(host, `/events?filters=${filters}${since}`);
        void this.#lookBack(host).catch(() => undefined); // away again: the next round asks
        for await (const line of createInterface(stream)) {
          const { Action, Actor, timeNano } = Event.parse(JSON.parse(line));
          sinceNano = timeNano;
          const kind = Action === 'start' ? 'start' : 'end';
          this.#signs.push({ kind, host, container: Actor.ID, at: timeNano / 1e6 });
        }
      } catch {
        // The daemon or its host is away.
      }
      await delay(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** What the daemon knows of each container's last run. */
  async #lookBack(host: HostName): Promise<void> {
    const all = Summaries.parse(JSON.parse(await text(await this.#ask(host, '/containers/json?all=1', true))));
    for (const { Id } of all) {
      const said = await text(await this.#ask(host, `/containers/${Id}/json`, true));
      const inspected = State.safeParse(JSON.parse(said));
      if (!inspected.success) continue; // removed since it was listed
      const { Running, StartedAt, FinishedAt } = inspected.data.State;
      const began = Date.parse(StartedAt);
      const ended = Date.parse(FinishedAt);
      if (began > 0 && !this.#knows('start', Id, began))
        this.#signs.push({ kind: 'start', host, container: Id, at: began });
      if (!Running && ended > 0 && !this.#knows('end', Id, ended))
        this.#signs.push({ kind: 'end', host, container: Id, at: ended });
    }
  }

  /** Docker's event comes some ms after the moment that it writes into the container's state. */
  #knows(kind: 'start' | 'end', container: string, at: number): boolean {
    return this.#signs.some(
      (sign) => sign.kind === kind && sign.container === container && Math.abs(sign.at - at) < 1_000,
    );
  }

  async #sample(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const busy = hostNames.filter((host) => this.#hasProcesses(host));
      if (busy.length > 1)
        this.#seenTogether.push(`processes of containers on both hosts at ${new Date().toISOString()}`);
      await delay(SAMPLE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #hasProcesses(host: HostName): boolean {
    const group = join('/sys/fs/cgroup/pids', `cargo-lab-${this.#lab.name}-${host}`, 'docker');
    try {
      return readdirSync(group, { withFileTypes: true }).some(
        (entry) => entry.isDirectory() && readFileSync(join(group, entry.name, 'cgroup.procs'), 'utf8') !== '',
      );
    } catch {
      return false; // gone since it was listed
    }
  }

  #ask(host: HostName, path: string, isShort = false): Promise<IncomingMessage> {
    const init = findInit(this.#lab, findHost(this.#lab, host));
    if (init === undefined) return Promise.reject(new Error(`${host} is off`));
    const socketPath = dockerSocket(this.#lab, findHost(this.#lab, host));
    if (!existsSync(socketPath)) return Promise.reject(new Error(`Docker of ${host} is away`));
    const signal = isShort ? AbortSignal.timeout(ANSWER_LIMIT_MS) : this.#stopped.signal;
    return new Promise((resolve, reject) => {
      const call = request({ socketPath, path, signal }, resolve);
      call.on('error', reject);
      call.end();
    });
  }
}
