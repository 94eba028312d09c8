import { type Account, Connection } from '../demo/connection.ts';
import { accountAt, CONTAINER, PORT, startDatabase } from '../demo/database.ts';
import { Writer } from '../demo/writer.ts';
import { addTables } from './database-load.ts';
import type { HostName, LabPair } from './lab-pair.ts';
import { Probe } from './probe.ts';
import { type Client, dataOf, type Workload } from './workload.ts';

export const TABLE_BYTES = 256 * 2 ** 20;
const LIMIT_MS = 1_000;

/** The demo's MariaDB, as demo/database.ts starts it. */
export const database: Workload = {
  container: CONTAINER,
  volume: 'mysqldata',
  create: [
    ...['docker', 'create', '--name', CONTAINER, '--restart', 'unless-stopped', '-v', 'mysqldata:/var/lib/mysql'],
    ...['-p', `${PORT}:${PORT}`, '-e', 'MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1', '-e', 'MARIADB_DATABASE=demo'],
    ...['-e', 'MARIADB_USER=demo', 'mariadb:lab'],
  ],
};

/** Starts it on h1, new and empty: 155 MB. */
export async function startEmpty(pair: LabPair): Promise<void> {
  await Promise.all([pair.demo.image('h1', 'mariadb'), pair.demo.image('h2', 'mariadb')]);
  await startDatabase(pair.demo, 'h1', accountAt(pair.address('h1')), pair.signal);
}

/** Adds tables until the volume has about so many MiB. */
export async function growTo(pair: LabPair, at: HostName, mebibytes: number, tables: number): Promise<number> {
  const missing = mebibytes - (await mebibytesOf(pair, at));
  const added = Math.max(0, Math.round((missing * 2 ** 20) / TABLE_BYTES));
  await addTables(accountAt(pair.address(at)), { first: tables, count: added, bytes: TABLE_BYTES }, pair.signal);
  return tables + added;
}

async function mebibytesOf(pair: LabPair, at: HostName): Promise<number> {
  return Number((await pair.exec(at, 'du', '-sm', dataOf(database))).split('\t')[0]);
}

/** With a load it inserts rows, one after the other; without one it only asks. */
export function databaseClient(pair: LabPair, options: { load: boolean }): Client {
  const accounts = (['h1', 'h2'] as const).map((host) => accountAt(pair.address(host)));
  return options.load ? writingClient(accounts) : new Probe(accounts.map((account) => () => askOnce(account)));
}

async function askOnce(account: Account): Promise<void> {
  using connection = await Connection.open(account, LIMIT_MS);
  await connection.query('SELECT MAX(seq) FROM journal', LIMIT_MS);
}

function writingClient(accounts: readonly Account[]): Client {
  const writer = new Writer(accounts);
  const written = writer.run();
  written.catch(() => undefined); // until it is stopped: who waits for its answers gives up
  return {
    answers: writer.acknowledged,
    answersAfter: (moment, signal) => writer.writesAfter(moment, signal),
    [Symbol.asyncDispose]: async () => {
      writer.stop();
      await written;
    },
  };
}
