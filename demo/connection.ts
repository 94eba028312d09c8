import { createConnection, type Connection as MysqlConnection } from 'mysql2/promise';
import { z } from 'zod';

export type Account = { host: string; port: number; user: string; database: string };
const Rows = z.array(z.array(z.union([z.string(), z.number(), z.null()])));
export type Row = z.infer<typeof Rows>[number];

/** A connection to a database, of an account without a password; each statement has a limit. */
export class Connection implements Disposable {
  readonly #connection: MysqlConnection;

  private constructor(connection: MysqlConnection) {
    this.#connection = connection;
    // a connection lost between two statements: the next statement fails, and that is where it is dealt with
    connection.on('error', () => undefined);
  }

  /** @throws Error when nobody answers within the limit */
  static async open(account: Account, limitMs: number): Promise<Connection> {
    return new Connection(await createConnection({ ...account, connectTimeout: limitMs, rowsAsArray: true }));
  }

  /** The rows of the answer, none for a statement that changes something. */
  async query(sql: string, limitMs: number): Promise<Row[]> {
    const [answer] = await this.#connection.query({ sql, timeout: limitMs });
    return Array.isArray(answer) ? Rows.parse(answer) : [];
  }

  [Symbol.dispose](): void {
    this.#connection.destroy();
  }
}

/** MariaDB's own number of a refusal; null when it is no refusal but a lost connection. */
export function errnoOf(error: unknown): number | null {
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? error.errno : null;
}
