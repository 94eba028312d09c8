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

const JOURNAL = `
CREATE DATABASE demo;
CREATE TABLE demo.journal (seq BIGINT PRIMARY KEY, body CHAR(64) NOT NULL);
CREATE TABLE demo.ballast (id BIGINT AUTO_INCREMENT PRIMARY KEY, body BLOB NOT NULL);
CREATE USER demo@'%';
GRANT ALL ON demo.* TO demo@'%';`;

/** Starts MariaDB with a named volume and a published port, with an account without a password for the lab's clients. */
export async function startDatabase(lab: Lab, host: string): Promise<void> {
  const volume = ['-v', 'mysqldata:/var/lib/mysql'];
  const create = ['docker', 'run', '-d', '--name', CONTAINER, '--restart', 'unless-stopped', ...volume];
  await lab.show(host, [...create, '-p', `${PORT}:${PORT}`, 'mariadb:lab']);
  await untilReady(lab, host);
  await lab.exec(host, ['docker', 'exec', CONTAINER, 'mariadb', '-e', JOURNAL]);
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
  return row?.[1] ?? 'none';
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

async function untilReady(lab: Lab, host: string): Promise<void> {
  const ping = `for i in $(seq ${STARTED_LIMIT_MS / 500}); do mariadb-admin ping >/dev/null 2>&1 && exit 0; sleep 0.5; done; exit 1`;
  await lab.exec(host, ['docker', 'exec', CONTAINER, 'sh', '-c', ping], STARTED_LIMIT_MS * 2);
}
