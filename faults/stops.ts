import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../lab/index.ts';
import { type FaultPoint, faultPoints } from '../src/faults/points.ts';
import { type HostName, hostNames } from './names.ts';

const HELD = '.held';

/** The directory of a process's fault points; undefined while its machine is off. */
export type StopPlaces = { server: () => string; host: (name: HostName) => string | undefined };

/** Where processes of the lab stop: see `src/faults/reach.ts`. */
export class FaultStops {
  readonly #places: StopPlaces;
  readonly #reached = new Set<string>();

  constructor(places: StopPlaces) {
    this.#places = places;
  }

  /** Lets every process go, forgets what was armed, and makes the directories where a reboot has taken them away. */
  clear(): void {
    this.#collect();
    for (const place of this.#directories()) {
      rmSync(place, { recursive: true, force: true });
      mkdirSync(place, { recursive: true });
    }
  }

  /** From now on the first process that comes by the point stops there. */
  arm(point: FaultPoint): void {
    for (const place of this.#directories()) {
      mkdirSync(place, { recursive: true }); // a reboot has taken it away
      writeFileSync(join(place, `${point}.hold`), '');
    }
  }

  /** The points at which a process is held right now. */
  held(): FaultPoint[] {
    this.#collect();
    const files = this.#directories().flatMap((place) => (existsSync(place) ? readdirSync(place) : []));
    return faultPoints.filter((point) => files.includes(point + HELD));
  }

  async untilHeld(point: FaultPoint, limitMs: number): Promise<void> {
    await waitUntil(`${point} is reached`, limitMs, () => (this.#held(point).length > 0 ? true : undefined), 10);
    this.#collect();
  }

  release(point: FaultPoint): void {
    this.#collect();
    for (const place of this.#held(point)) rmSync(place, { force: true });
    for (const place of this.#directories()) rmSync(join(place, `${point}.hold`), { force: true });
  }

  /** Every point that a process has come by up to the last `clear` or `release`. */
  get reached(): ReadonlySet<string> {
    return this.#reached;
  }

  #held(point: FaultPoint): string[] {
    return this.#directories()
      .map((place) => join(place, point + HELD))
      .filter((file) => existsSync(file));
  }

  #directories(): string[] {
    const places = [this.#places.server(), ...hostNames.map((name) => this.#places.host(name))];
    return places.filter((place) => place !== undefined);
  }

  #collect(): void {
    for (const place of this.#directories()) {
      const file = join(place, 'reached');
      if (!existsSync(file)) continue;
      for (const line of readFileSync(file, 'utf8').split('\n')) if (line !== '') this.#reached.add(line);
    }
  }
}
