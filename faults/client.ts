import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from '../demo/connection.ts';
import { audit } from '../demo/database.ts';
import { longestGapMs } from '../demo/gap.ts';
import { Writer } from '../demo/writer.ts';
import type { Bench } from './bench.ts';
import { type HostName, hostNames } from './names.ts';

/** Enough rows to be lost, little enough work to leave the machine to what is tested. */
const PAUSE_MS = 25;
const LIMIT_MS = 60_000;
const STATEMENT_MS = 60_000;

/** An application that writes to the database all through a cell, wherever it runs, into a table of its own. */
export class Client implements Disposable {
  readonly #bench: Bench;
  readonly #writer: Writer;
  readonly #written: Promise<void>;
  readonly #startedAt = performance.now();

  private constructor(bench: Bench, patienceMs: number | undefined) {
    this.#bench = bench;
    this.#writer = new Writer(
      hostNames.map((host) => bench.account(host)),
      PAUSE_MS,
      patienceMs,
    );
    this.#written = this.#writer.run();
    this.#written.catch(() => undefined); // seen by who waits for the next row
  }

  static async start(bench: Bench, patienceMs?: number): Promise<Client> {
    using connection = await Connection.open(bench.account(bench.home), 10_000);
    await connection.query(
      'CREATE OR REPLACE TABLE journal (seq BIGINT PRIMARY KEY, body CHAR(64) NOT NULL)',
      STATEMENT_MS,
    );
    const client = new Client(bench, patienceMs);
    await client.writesOn(bench.home);
    return client;
  }

  /** Resolves once a row is acknowledged there, from now on. */
  async writesOn(host: HostName): Promise<void> {
    const from = performance.now();
    const { host: address } = this.#bench.account(host);
    while (performance.now() - from < LIMIT_MS) {
      const last = this.#writer.acknowledged.at(-1);
      if (last !== undefined && last.at > from && last.host === address) return;
      await delay(20);
    }
    throw new Error(`the client writes nothing on ${host} in ${LIMIT_MS} ms`);
  }

  /** The longest time without an acknowledged row. */
  longestPauseMs(): number {
    return longestGapMs(this.#writer.acknowledged, { from: this.#startedAt, to: performance.now() });
  }

  /**
   * Stops, and says what is wrong with the rows that the database had acknowledged. `lost`: a host whose rows an operator
   * gave up.
   */
  async verdict(home: HostName, lost: HostName | null = null): Promise<string[]> {
    await this.writesOn(home);
    this.#writer.stop();
    await this.#written;
    const account = this.#bench.account(home);
    const lostAddress = lost === null ? null : this.#bench.account(lost).host;
    const { missing, changed, unexpected } = await audit(account, this.#writer.acknowledged);
    const given = new Set(this.#writer.acknowledged.filter(({ host }) => host === lostAddress).map(({ seq }) => seq));
    using connection = await Connection.open(account, 10_000);
    const checked = (await connection.query('CHECK TABLE journal EXTENDED', STATEMENT_MS)).map((row) =>
      String(row.at(-1)),
    );
    return [
      ...tell(
        'acknowledged rows are missing',
        missing.filter((seq) => !given.has(seq)),
      ),
      ...tell('acknowledged rows have other content', changed),
      ...tell('rows are there that nobody wrote', unexpected),
      ...checked.filter((word) => word !== 'OK').map((word) => `CHECK TABLE says ${word}`),
    ];
  }

  [Symbol.dispose](): void {
    this.#writer.stop();
  }
}

function tell(what: string, rows: readonly number[]): string[] {
  return rows.length === 0 ? [] : [`${rows.length} ${what}: ${rows.slice(0, 5).join(', ')}`];
}
