import { once, setMaxListeners } from 'node:events';
import { CargoError } from '../../api/cargo-error.ts';
import type { StoredMigration } from './record.ts';
import { WAITING } from './waiting.ts';

/** So many migrations copy from or to one host at once, unless said otherwise. */
export const DEFAULT_PER_HOST = 2;

type Copying = Pick<StoredMigration, 'id' | 'container' | 'source' | 'target' | 'sourceId' | 'targetId' | 'createdAt'>;

/**
 * Which migrations copy. At most so many at once per host, from or to it; the others wait in the order in which they were
 * begun. Who waits for one host holds the other for nobody: both are had at the same moment or not at all, so no two
 * migrations can wait for each other. And nobody overtakes on a host that somebody earlier waits for, so each has its turn
 * once those before it are done. Held in memory: what is under way when the server starts goes on, whatever the limit.
 */
export class Turns {
  readonly #perHost: number;
  readonly #copying = new Map<string, Copying>();
  readonly #waiting = new Map<string, Copying>();
  readonly #changes = new EventTarget();

  constructor(perHost = DEFAULT_PER_HOST) {
    this.#perHost = perHost;
    setMaxListeners(0, this.#changes);
  }

  /** It copies already. */
  keep(migration: Copying): void {
    this.#waiting.delete(migration.id);
    this.#copying.set(migration.id, migration);
  }

  /** Gives up its turn, or its place among those who wait. Safe to repeat. */
  leave(id: string): void {
    const wasThere = this.#copying.delete(id);
    if (this.#waiting.delete(id) || wasThere) this.#changes.dispatchEvent(new Event('change'));
  }

  /**
   * Resolves when it is its turn; `leave` ends that. Until then `note` is told what it waits for, whenever that changes.
   * Rejects with the signal's reason, and has left then.
   */
  async take(migration: Copying, note: (activity: string) => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#waiting.set(migration.id, migration);
    let shown = '';
    try {
      for (;;) {
        signal.throwIfAborted();
        const change = once(this.#changes, 'change', { signal });
        // Nobody may be told of it any more by the time that it is looked at.
        change.catch(() => undefined);
        const reason = this.#reasonAgainst(migration);
        if (reason === null) return this.keep(migration);
        if (reason !== shown) await note(WAITING + reason);
        shown = reason;
        await change;
      }
    } catch (thrown) {
      this.leave(migration.id);
      throw signal.aborted ? CargoError.from(signal.reason) : thrown;
    }
  }

  #reasonAgainst(migration: Copying): string | null {
    const { sourceId, source, targetId, target } = migration;
    const earlier = [...this.#waiting.values()].filter((other) => isBefore(other, migration));
    for (const [hostId, name] of [[sourceId, source] as const, [targetId, target] as const]) {
      const busyWith = [...this.#copying.values()].filter((other) => touches(other, hostId));
      if (busyWith.length >= this.#perHost) {
        return `host ${name} is busy with ${busyWith.map(({ container }) => container).join(', ')}`;
      }
      const first = earlier.filter((other) => touches(other, hostId)).map(({ container }) => container);
      if (first.length > 0) return `${first.join(', ')} came before it on host ${name}`;
    }
    return null;
  }
}

function touches({ sourceId, targetId }: Copying, hostId: string): boolean {
  return sourceId === hostId || targetId === hostId;
}

function isBefore(a: Copying, b: Copying): boolean {
  return a.createdAt < b.createdAt || (a.createdAt === b.createdAt && a.id < b.id);
}
