import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { type Account, Connection } from '../../../demo/connection.ts';
import { audit } from '../../../demo/database.ts';
import { Writer } from '../../../demo/writer.ts';
import type { LabUnderTest } from '../lab.ts';

const MINUTE_MS = 60_000;

/** A MariaDB container in the lab, begun on h1, that moves between h1 and h2. */
export class Database implements AsyncDisposable {
  readonly lab: LabUnderTest;
  readonly container: string;
  readonly accounts: ReadonlyMap<string, Account>;

  private constructor(lab: LabUnderTest, container: string, accounts: ReadonlyMap<string, Account>) {
    this.lab = lab;
    this.container = container;
    this.accounts = accounts;
  }

  static async start(lab: LabUnderTest, container: string, port: number): Promise<Database> {
    await lab.image('mariadb', 'h1');
    const env = ['MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1', 'MARIADB_DATABASE=demo', 'MARIADB_USER=demo'];
    const options = ['-v', `${container}-data:/var/lib/mysql`, '-p', `${port}:3306`, '--restart', 'unless-stopped'];
    const run = ['docker', 'run', '-d', '--name', container, ...options, ...env.flatMap((line) => ['-e', line])];
    await lab.must('h1', ...run, 'mariadb:lab');
    const accounts = new Map<string, Account>();
    for (const host of ['h1', 'h2']) {
      accounts.set(host, { host: await lab.address(host), port, user: 'demo', database: 'demo' });
    }
    return new Database(lab, container, accounts);
  }

  /** A client that begins to write into an empty table of the database, which runs there. */
  async load(host: string): Promise<DatabaseUnderLoad> {
    await makeTable(this.accounts.get(host));
    const load = new DatabaseUnderLoad(this);
    await load.writesOn(host);
    return load;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.sweep([...this.accounts.keys()]);
  }
}

/** A client that keeps writing to the database, wherever it runs. */
export class DatabaseUnderLoad implements AsyncDisposable {
  readonly writer: Writer;
  readonly #database: Database;
  readonly #written: Promise<void>;

  constructor(database: Database) {
    this.#database = database;
    this.writer = new Writer([...database.accounts.values()]);
    this.#written = this.writer.run();
    // awaited in `stop`; until then a client that gave up is seen by who waits for its next row
    this.#written.catch(() => undefined);
  }

  /** Resolves once the client had a row acknowledged there, from now on. */
  async writesOn(host: string): Promise<void> {
    const from = performance.now();
    const address = this.#database.accounts.get(host)?.host;
    const limit = AbortSignal.timeout(2 * MINUTE_MS);
    for (;;) {
      const last = this.writer.acknowledged.at(-1);
      if (last !== undefined && last.at > from && last.host === address) return;
      await delay(50, undefined, { signal: limit });
    }
  }

  /** Stops the client; fails when a row that it saw acknowledged is missing or changed, or when there is a second copy. */
  async expectWholeOn(host: string): Promise<void> {
    await this.writesOn(host);
    this.writer.stop();
    await this.#written;
    const account = this.#database.accounts.get(host);
    if (account === undefined) throw new Error(`there is no account on ${host}`);
    const { missing, changed, unexpected, found } = await audit(account, this.writer.acknowledged);
    expect({ missing, changed, unexpected }).toEqual({ missing: [], changed: [], unexpected: [] });
    expect(found).toBeGreaterThan(10);
    expect(await this.runningOn()).toEqual([host]);
  }

  async runningOn(): Promise<string[]> {
    const found: string[] = [];
    for (const host of this.#database.accounts.keys()) {
      const names = await this.#database.lab.must(host, 'docker', 'ps', '--format', '{{.Names}}');
      if (names.split('\n').some((name) => name.startsWith(this.#database.container))) found.push(host);
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.writer.stop();
    await this.#written.catch(() => undefined);
  }
}

async function makeTable(account: Account | undefined): Promise<void> {
  if (account === undefined) throw new Error('there is no account on h1');
  const limit = AbortSignal.timeout(MINUTE_MS);
  for (;;) {
    try {
      using connection = await Connection.open(account, 1_000);
      await connection.query(
        'CREATE OR REPLACE TABLE journal (seq BIGINT PRIMARY KEY, body CHAR(64) NOT NULL)',
        MINUTE_MS,
      );
      return;
    } catch (error) {
      if (limit.aborted) throw error;
      await delay(200);
    }
  }
}
