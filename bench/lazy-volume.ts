import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Migration } from '../src/api/migration.ts';
import type { LabPair } from './lab-pair.ts';
import { runGroup } from './process-group.ts';
import { SOURCE, TARGET } from './ways.ts';

const POLL_MS = 5;
/** Has Perl and PostgreSQL. */
const IMAGE = 'postgres:lab';
export const DATA = '/var/lib/postgresql/data';
const HYDRATORS = '/sys/fs/cgroup/pids/hydrators/cgroup.procs';
const touches = fs.readFileSync(new URL('./touches.pl', import.meta.url), 'utf8');

/** A container and its one volume, which moves lazily from the source to the target; the background copy rests at first. */
export class LazyVolume {
  readonly #pair: LabPair;
  readonly #name: string;
  #id = '';

  constructor(pair: LabPair, name: string) {
    this.#pair = pair;
    this.#name = name;
  }

  /** Where this machine sees the volume. */
  at(host: typeof SOURCE): string {
    return this.#pair.path(host, `/var/lib/docker/volumes/${this.#name}/_data`);
  }

  /** `args`: of `docker create`, the image left out. */
  async create(args: readonly string[], command: readonly string[]): Promise<void> {
    const volume = ['-v', `${this.#name}:${DATA}`];
    await this.#pair.exec(SOURCE, 'docker', 'create', '--name', this.#name, ...volume, ...args, IMAGE, ...command);
  }

  /** The container runs, and does nothing. */
  createIdle(): Promise<void> {
    return this.create(['--no-healthcheck', '--stop-signal', 'SIGKILL'], ['sleep', 'infinity']);
  }

  /** Idle on the tree at `place`, as this machine sees it; moved, and nothing of it in the page cache. */
  async moveTree(place: string): Promise<void> {
    await this.createIdle();
    fs.rmdirSync(this.at(SOURCE));
    fs.renameSync(place, this.at(SOURCE));
    await this.start();
    await this.move();
    await dropCaches(this.#pair);
  }

  start(): Promise<string> {
    return this.#pair.exec(SOURCE, 'docker', 'start', this.#name);
  }

  /** Returns once it runs at the target and the background copy rests; seconds that the command took. */
  async move(): Promise<number> {
    const began = performance.now();
    const how = ['--strategy', 'lazy', '--bwlimit', '2M'];
    await this.#pair.cargoctl('migrate', this.#name, '--from', SOURCE, '--to', TARGET, ...how);
    const seconds = (performance.now() - began) / 1000;
    this.#id = (await this.status()).id;
    await this.#control({ paused: true });
    await this.#control({ bwlimit: null });
    return seconds;
  }

  /** The background copy, from now on. `bytesPerSecond`: null for full speed */
  async release(bytesPerSecond: number | null = null): Promise<void> {
    await this.#control({ paused: false, bwlimit: bytesPerSecond });
  }

  async status(): Promise<Migration> {
    return Migration.parse(await this.#pair.call('GET', `/v1/containers/${this.#name}/migration`));
  }

  /** Returns when everything is durable at the target and the engine is gone; false if it was so at once. */
  async untilHere(): Promise<boolean> {
    let waited = false;
    while (fs.readFileSync(this.#pair.path(TARGET, HYDRATORS), 'utf8') !== '') {
      waited = true;
      await delay(POLL_MS, undefined, { signal: this.#pair.signal });
    }
    return waited;
  }

  /** Numbers that bench/touches.pl prints, run in the container at the target. */
  async touch(...args: string[]): Promise<number[]> {
    return numbers(await this.exec(TARGET, 'perl', '-e', touches, ...args));
  }

  exec(host: typeof SOURCE, ...command: string[]): Promise<string> {
    return this.#pair.exec(host, 'docker', 'exec', this.#name, ...command);
  }

  /** Fails over, and removes all of it; the source's data are put where `keep` says, as this machine sees it. */
  async end(keep?: string): Promise<void> {
    while ((await this.status()).phase !== 'copied') await delay(100, undefined, { signal: this.#pair.signal });
    await this.#pair.cargoctl('failover', this.#name);
    if (keep !== undefined) {
      const volume = join(this.at(SOURCE), '..');
      const aside = fs.readdirSync(volume).find((entry) => entry.startsWith('_data.moved-to-')) ?? '_data';
      fs.renameSync(join(volume, aside), keep);
    }
    for (const host of [SOURCE, TARGET]) {
      await this.#pair.exec(host, 'sh', '-c', `docker rm -f $(docker ps -aq --filter volume=${this.#name})`);
      await this.#pair.exec(host, 'docker', 'volume', 'rm', this.#name);
    }
  }

  async #control(change: { paused?: boolean; bwlimit?: number | null }): Promise<void> {
    await this.#pair.call('PATCH', `/v1/migrations/${this.#id}`, change);
  }
}

export async function dropCaches(pair: LabPair): Promise<void> {
  await runGroup(['sync'], pair.signal);
  fs.writeFileSync('/proc/sys/vm/drop_caches', '3');
}

export function numbers(text: string): number[] {
  return text.split('\n').filter(Boolean).map(Number);
}

/** The first of what a touch printed. @throws Error when it printed nothing */
export function only(printed: readonly number[]): number {
  const [first] = printed;
  if (first === undefined) throw new Error('nothing was measured');
  return first;
}
