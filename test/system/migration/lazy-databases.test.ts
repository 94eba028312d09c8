import { afterAll, beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';
import { tracesOfHydration } from './traces.ts';

/** Stays away for as long as the test looks: no database touches it. */
const FILLER = 'yes | head -c 60000000 > "$0/filler"';
const WRITES_LIMIT_S = 120;
const MORE_S = 3;
/** Half a minute on a machine that has nothing else to do. */
const LIMIT_MS = 300_000;

/** What the clients print is flushed line by line: a number that they saw acknowledged. */
type Database = {
  name: string;
  run: readonly string[];
  data: string;
  /** Shell, in the container. */
  isReady: string;
  prepare: string;
  /** A statement adds a row with the number after the last, and answers with it. */
  statement: string;
  client: string;
  /** Prints `<rows> <last number>`, and nothing else if all that the database can check of itself is right. */
  audit: string;
};

const databases: readonly Database[] = [
  {
    name: 'postgres',
    run: ['-e', 'POSTGRES_HOST_AUTH_METHOD=trust', 'postgres:lab'],
    data: '/var/lib/postgresql/data',
    isReady: 'psql -U postgres -qc "select 1"',
    prepare:
      'psql -U postgres -qc "create extension amcheck" -c "create table j (n bigint primary key)" && pgbench -qi -U postgres postgres 2>/dev/null',
    statement: 'insert into j select coalesce(max(n), 0) + 1 from j returning n;',
    client: 'psql -U postgres -qAt',
    audit:
      'PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; pg_amcheck -U postgres --heapallindexed --parent-check postgres 2>&1; psql -U postgres -qAtF " " -c "select count(*), max(n) from j"',
  },
  {
    name: 'redis',
    run: ['redis:lab', '--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
    data: '/data',
    isReady: 'redis-cli ping | grep -q PONG',
    prepare: `redis-cli eval "for i=1,20000 do redis.call('set','k'..i,string.rep(redis.sha1hex(i),8)) end" 0 >/dev/null`,
    statement: 'rpush j x',
    client: 'redis-cli',
    // The list's length is both; its history is what the file's own check reads.
    audit:
      'redis-check-aof /data/appendonlydir/appendonly.aof.manifest | grep -iE "not valid|corrupt|truncated"; n=$(redis-cli llen j); echo "$n $n"',
  },
  {
    name: 'sqlite',
    run: ['--entrypoint', 'sleep', '--no-healthcheck', '--stop-signal', 'SIGKILL', 'redis:lab', 'infinity'],
    data: '/data',
    isReady: 'true',
    prepare:
      'sqlite3 /data/db "pragma journal_mode=wal; create table j (n integer primary key, x blob); create table b as with recursive c(i) as (select 1 union all select i+1 from c where i < 2000) select i, randomblob(4000) x from c" >/dev/null',
    // What `returning` gives is printed before the change is committed.
    statement: 'insert into j select coalesce(max(n), 0) + 1, randomblob(300) from j; select max(n) from j;',
    client: 'sqlite3 -cmd "pragma synchronous=full" /data/db',
    audit:
      'sqlite3 /data/db "pragma integrity_check" | grep -v "^ok$"; sqlite3 -separator " " /data/db "select count(*), max(n) from j"',
  },
];

let lab: LabUnderTest;
beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('postgres', 'h1');
  await lab.image('redis', 'h1');
});
afterAll(() => lab.sweep(['h1', 'h2']));

const inside = (host: string, { name, data }: Database, script: string): Promise<string> =>
  lab.must(host, 'docker', 'exec', name, 'sh', '-c', script, data);

const untilReady = (host: string, database: Database): Promise<void> =>
  expect
    .poll(async () => (await lab.exec(host, 'docker', 'exec', database.name, 'sh', '-c', database.isReady)).status)
    .toBe(0);

/** Numbers that a client saw acknowledged until its time was over or the container stopped. */
async function written(host: string, { name, statement, client }: Database, seconds: number): Promise<number[]> {
  const loop = `while :; do echo '${statement}'; done | timeout ${seconds} stdbuf -oL ${client}`;
  const { stdout } = await lab.exec(host, 'docker', 'exec', name, 'sh', '-c', loop);
  // The last line may be cut off.
  return [...stdout.matchAll(/^(\d+)\n/gm)].map(([, number]) => Number(number));
}

async function moves(database: Database): Promise<void> {
  const { name, run, data } = database;
  await lab.must('h1', 'docker', 'run', '-d', '--name', name, '-v', `${name}data:${data}`, ...run);
  await untilReady('h1', database);
  await inside('h1', database, `${database.prepare} && ${FILLER}`);
  const writing = written('h1', database, WRITES_LIMIT_S);
  const rows = async (): Promise<number> => Number((await inside('h1', database, database.audit)).split(' ')[1]);
  await expect.poll(rows).toBeGreaterThan(10);
  const moved = await lab.cargoctl('migrate', name, '--to', 'h2', '--strategy', 'lazy', '--bwlimit', '2M');
  expect(moved, moved.stderr).toMatchObject({ status: 0 });
  const paused = await lab.cargoctl('pause', name);
  expect(paused, paused.stderr).toMatchObject({ status: 0 });
  const before = await writing;
  await untilReady('h2', database);
  const after = await written('h2', database, MORE_S);
  expect((await lab.status(name)).phase, 'it was written to while data was missing').toBe('hydrating');
  expect(before.length, 'there was a load').toBeGreaterThan(10);
  expect(after[0], 'nothing that was acknowledged is missing, and the load went on').toBeGreaterThan(
    before.at(-1) ?? 0,
  );

  for (const change of [
    ['set', name, '--bwlimit', 'none'],
    ['resume', name],
  ]) {
    const made = await lab.cargoctl(...change);
    expect(made, made.stderr).toMatchObject({ status: 0 });
  }
  await expect.poll(async () => (await lab.status(name)).phase, { timeout: 120_000 }).toBe('copied');
  const [found, last] = (await inside('h2', database, database.audit)).split(' ').map(Number);
  expect(found, 'no number is missing, and the database finds no fault with itself').toBe(last);
  expect(last).toBeGreaterThanOrEqual(after.at(-1) ?? Number.NaN);
}

test('PostgreSQL, Redis and SQLite under load move before their data does, at once: no acknowledged write is lost', {
  timeout: LIMIT_MS,
}, async () => {
  const ended = await Promise.allSettled(databases.map(moves));
  expect(ended.filter(({ status }) => status === 'rejected')).toEqual([]);
  expect(await tracesOfHydration(lab, 'h2'), 'nothing of the engine is left').toBe('0');
});
