import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, Connection } from './connection.ts';
import type { Lab } from './lab.ts';
import { type Acknowledged, bodyOf } from './writer.ts';

export const CONTAINER = 'mysqldemo';
export const PORT = 3306;

const STARTED_LIMIT_MS = 60_000;
const STATEMENT_LIMIT_MS = 120_000;
const BALLAST_STATEMENTS = 10;
/** 20 MiB: rows of 8 KiB. */
const ROWS_A_STATEMENT = 2_560;

const TABLES = [
  'CREATE TABLE journal (seq BIGINT PRIMARY KEY, body CHAR(64) NOT NULL)',
  'CREATE TABLE ballast (id BIGINT AUTO_INCREMENT PRIMARY KEY, body BLOB NOT NULL)',
];

/** Starts MariaDB with a named volume and a published port, and waits until it takes statements there. */
export async function startDatabase(lab: Lab, host: string, account: Account, signal: AbortSignal): Promise<void> {
  const volume = ['-v', 'mysqldata:/var/lib/mysql'];
  const env = ['MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1', 'MARIADB_DATABASE=demo', 'MARIADB_USER=demo'];
  const create = ['docker', 'run', '-d', '--name', CONTAINER, '--restart', 'unless-stopped', ...volume];
  await lab.show(host, [...create, '-p', `${PORT}:${PORT}`, ...env.flatMap((line) => ['-e', line]), 'mariadb:lab']);
  using connection = await untilOpen(account, signal);
  for (const table of TABLES) await connection.query(table, STATEMENT_LIMIT_MS);
}

export function accountAt(address: string): Account {
  return { host: address, port: PORT, user: 'demo', database: 'demo' };
}

/** Bytes that can't be compressed, so that the copy has something to do. */
export async function addBallast(account: Account): Promise<void> {
  using connection = await Connection.open(account, STARTED_LIMIT_MS);
  const body = `CONCAT(${Array(8).fill('RANDOM_BYTES(1024)').join(', ')})`;
  for (let statement = 0; statement < BALLAST_STATEMENTS; statement += 1) {
    await connection.query(
      `INSERT INTO ballast (body) SELECT ${body} FROM seq_1_to_${ROWS_A_STATEMENT}`,
      STATEMENT_LIMIT_MS,
    );
  }
}

export async function ballastChecksum(account: Account): Promise<string> {
  using connection = await Connection.open(account, STARTED_LIMIT_MS);
  const [row] = await connection.query('CHECKSUM TABLE ballast', STATEMENT_LIMIT_MS);
  return String(row?.[1] ?? 'none');
}

/** What of the acknowledged rows is there, and what else is. */
export type Audit = { found: number; missing: number[]; changed: number[]; unexpected: number[] };

export async function audit(account: Account, acknowledged: readonly Acknowledged[]): Promise<Audit> {
  using connection = await Connection.open(account, STARTED_LIMIT_MS);
  const rows = await connection.query('SELECT seq, body FROM journal', STATEMENT_LIMIT_MS);
  const found = new Map(rows.map(([seq, body]) => [Number(seq), body]));
  const expected = acknowledged.map(({ seq }) => seq);
  const known = new Set(expected);
  return {
    found: rows.length,
    missing: expected.filter((seq) => !found.has(seq)),
    changed: expected.filter((seq) => found.has(seq) && found.get(seq) !== bodyOf(seq)),
    unexpected: [...found.keys()].filter((seq) => !known.has(seq)),
  };
}

async function untilOpen(account: Account, signal: AbortSignal): Promise<Connection> {
  const giveUpAt = performance.now() + STARTED_LIMIT_MS;
  for (;;) {
    try {
      return await Connection.open(account, 1_000);
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await sleep(200, undefined, { signal });
    }
  }
}
