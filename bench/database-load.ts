import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, Connection } from '../demo/connection.ts';

const STATEMENT_LIMIT_MS = 120_000;
const CONNECT_LIMIT_MS = 1_000;
const RETRY_MS = 50;
/** InnoDB puts this much of a row on one page of 16 KiB of its own, so a table takes 16 KiB a row. */
const BODY_BYTES = 15 * 1024;
const PAGE_BYTES = 16 * 1024;
const USUAL_LOG_BYTES = 96 * 2 ** 20;

/** Makes tables `bulk<first>`, … of so many bytes each, of random content: every one a file of its own. */
export async function addTables(
  account: Account,
  { first, count, bytes }: { first: number; count: number; bytes: number },
  signal: AbortSignal,
): Promise<void> {
  using connection = await Connection.open({ ...account, user: 'root' }, CONNECT_LIMIT_MS);
  // With the log's usual size most of the time goes into checkpoints.
  await connection.query(`SET GLOBAL innodb_log_file_size = ${2 ** 30}`, STATEMENT_LIMIT_MS);
  const body = `CONCAT(${Array(BODY_BYTES / 1024)
    .fill('RANDOM_BYTES(1024)')
    .join(', ')})`;
  for (let index = first; index < first + count; index += 1) {
    signal.throwIfAborted();
    const columns = 'id INT AUTO_INCREMENT PRIMARY KEY, touched INT NOT NULL DEFAULT 0, body BLOB NOT NULL';
    await connection.query(`CREATE TABLE bulk${index} (${columns})`, STATEMENT_LIMIT_MS);
    const rows =
      index === 0
        ? `SELECT ${body} FROM seq_1_to_${Math.floor(bytes / PAGE_BYTES)}`
        : 'SELECT REVERSE(body) FROM bulk0';
    await connection.query(`INSERT INTO bulk${index} (body) ${rows}`, STATEMENT_LIMIT_MS);
  }
  await connection.query(`SET GLOBAL innodb_log_file_size = ${USUAL_LOG_BYTES}`, STATEMENT_LIMIT_MS);
}

/**
 * A client that changes one row of each of the first so many tables, again and again, wherever the database is: each of
 * their files is a changed file all the time, in few of its pages.
 */
export class TouchingLoad {
  readonly #accounts: readonly Account[];
  readonly #stopped = new AbortController();
  tables = 0;

  constructor(accounts: readonly Account[]) {
    this.#accounts = accounts;
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Resolves once `stop` was called. */
  async run(): Promise<void> {
    let connection: Connection | null = null;
    for (let turn = 0; !this.#stopped.signal.aborted; turn += 1) {
      const account = this.#accounts[turn % this.#accounts.length];
      if (account === undefined) return;
      try {
        connection ??= await Connection.open(account, CONNECT_LIMIT_MS);
        for (let table = 0; table < this.tables; table += 1) {
          const touch = `UPDATE bulk${table} SET touched = touched + 1 WHERE id = ${1 + (turn % 100)}`;
          await connection.query(touch, STATEMENT_LIMIT_MS);
        }
      } catch {
        connection?.[Symbol.dispose]();
        connection = null; // the database is elsewhere, or on its way
      }
      await sleep(RETRY_MS);
    }
    connection?.[Symbol.dispose]();
  }
}
