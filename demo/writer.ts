import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, Connection, errnoOf } from './connection.ts';

const PAUSE_MS = 5;
const RETRY_MS = 20;
const CONNECT_LIMIT_MS = 1_000;
const ANSWER_LIMIT_MS = 5_000;
const DUPLICATE_KEY = 1062;
/** The application gives up, and the demo with it, when no address has taken a row for so long, unless told otherwise. */
const PATIENCE_MS = 120_000;

/** A row that the database acknowledged: its number and when, in ms of the monotonic clock. */
export type Acknowledged = { seq: number; at: number; host: string };

/** What the row of this number holds: a row that came back changed is noticed. */
export function bodyOf(seq: number): string {
  return createHash('sha256').update(String(seq)).digest('hex');
}

/**
 * A client application: inserts rows 1, 2, 3, … one after the other, each until it is acknowledged. When its connection
 * breaks it tries the addresses in turn and sends the same row again; a duplicate then says that the row had arrived.
 */
export class Writer {
  readonly acknowledged: Acknowledged[] = [];
  readonly #accounts: readonly Account[];
  readonly #pauseMs: number;
  readonly #patienceMs: number;
  readonly #stopped = new AbortController();
  #connection: { link: Connection; host: string } | null = null;

  constructor(accounts: readonly Account[], pauseMs = PAUSE_MS, patienceMs = PATIENCE_MS) {
    this.#accounts = accounts;
    this.#pauseMs = pauseMs;
    this.#patienceMs = patienceMs;
  }

  /** Resolves once `stop` was called and the last row is acknowledged. */
  async run(): Promise<void> {
    try {
      for (let seq = 1; !this.#stopped.signal.aborted; seq += 1) {
        await this.#insert(seq);
        await sleep(this.#pauseMs);
      }
    } finally {
      this.#connection?.link[Symbol.dispose]();
    }
  }

  /** Resolves once a row was acknowledged after this moment of the monotonic clock. */
  async writesAfter(moment: number, signal: AbortSignal): Promise<void> {
    while ((this.acknowledged.at(-1)?.at ?? 0) <= moment) await sleep(RETRY_MS, undefined, { signal });
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #insert(seq: number): Promise<void> {
    const giveUpAt = performance.now() + this.#patienceMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const { link, host } = await this.#connected(attempt);
        await insertOnce(link, seq);
        this.acknowledged.push({ seq, at: performance.now(), host });
        return;
      } catch (cause) {
        this.#connection?.link[Symbol.dispose]();
        this.#connection = null;
        if (performance.now() > giveUpAt)
          throw new Error(`row ${seq} could not be written in ${this.#patienceMs} ms`, { cause });
        await sleep(RETRY_MS);
      }
    }
  }

  async #connected(attempt: number): Promise<{ link: Connection; host: string }> {
    if (this.#connection !== null) return this.#connection;
    const account = this.#accounts[attempt % this.#accounts.length];
    if (account === undefined) throw new Error('there is no address to write to');
    this.#connection = { link: await Connection.open(account, CONNECT_LIMIT_MS), host: account.host };
    return this.#connection;
  }
}

async function insertOnce(link: Connection, seq: number): Promise<void> {
  try {
    await link.query(`INSERT INTO journal (seq, body) VALUES (${seq}, '${bodyOf(seq)}')`, ANSWER_LIMIT_MS);
  } catch (error) {
    if (errnoOf(error) !== DUPLICATE_KEY) throw error;
  }
}
