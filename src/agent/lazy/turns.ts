const MB = 2 ** 20;
/** Bytes of requests for waiting processes that are under way at once, at most; one request always is. */
const LIMITS = { containers: 8 * MB, others: 2 * MB };
/** Docker, containerd and Podman put a container into a cgroup that is named by its id. */
const CONTAINER_ID = /[0-9a-f]{64}/;

type Turn = { bytes: number; begin: () => void };

/** Waiting turns by cgroup, one cgroup after the other. */
class RoundRobin {
  readonly #turns = new Map<string, Turn[]>();

  add(cgroup: string, turn: Turn): void {
    const known = this.#turns.get(cgroup);
    if (known === undefined) this.#turns.set(cgroup, [turn]);
    else known.push(turn);
  }

  get next(): Turn | undefined {
    const [first] = this.#turns.values();
    return first?.[0];
  }

  /** Takes the next one out; then it is another cgroup's turn. */
  shift(): void {
    const [first] = this.#turns;
    if (first === undefined) return;
    const [cgroup, [, ...others]] = first;
    this.#turns.delete(cgroup);
    if (others.length > 0) this.#turns.set(cgroup, others);
  }
}

/**
 * Who may ask the source next: containers go first, then everybody else on the host, so that a backup of the whole volume does
 * not keep a container waiting for more than what little of it is under way. Among equals one cgroup follows the other.
 */
export class Turns {
  readonly #waiting = { containers: new RoundRobin(), others: new RoundRobin() };
  readonly #bytes = { containers: 0, others: 0 };

  /** `cgroup`: as /proc/<tid>/cgroup says it. Resolves with what ends the turn. */
  async take(cgroup: string, bytes: number): Promise<() => void> {
    const kind = CONTAINER_ID.test(cgroup) ? 'containers' : 'others';
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting[kind].add(cgroup, { bytes, begin: resolve });
    this.#begin();
    await promise;
    return () => {
      this.#bytes[kind] -= bytes;
      this.#begin();
    };
  }

  #begin(): void {
    for (const kind of ['containers', 'others'] as const) {
      for (let turn = this.#waiting[kind].next; turn !== undefined; turn = this.#waiting[kind].next) {
        const isFull = this.#bytes[kind] > 0 && this.#bytes[kind] + turn.bytes > LIMITS[kind];
        if (isFull) break;
        this.#waiting[kind].shift();
        this.#bytes[kind] += turn.bytes;
        turn.begin();
      }
    }
  }
}
