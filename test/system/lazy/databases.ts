import { debianTree } from '../../../lab/tree.ts';
import { run } from './lazy-pair.ts';

/** Rows that each database gets before the move; more of them by the environment. */
export const ROWS = Number(process.env['CARGO_LAZY_DATABASE_ROWS'] ?? 20_000);
const LIMIT_MS = 170_000;

/** `work` prints what the database holds, before and after changes that are the same each time. */
type Database = {
  /** As lab/image/database.ts has it built. */
  tree: { label: string; packages: string[]; waste: string[] };
  dataDir: string;
  /** Shell: fills an empty directory, and leaves it as a crash does. */
  prepare: string;
  work: string;
};

const awaitServer = (probe: string): string =>
  `for i in $(seq 600); do ${probe} >/dev/null 2>&1 && return; sleep 0.1; done; cat /tmp/log; exit 1`;

const mariadb = `mkdir -p /run/mysqld; chown mysql /run/mysqld /var/lib/mysql; export HOME=/tmp
start() {
  mariadbd --user=mysql --skip-networking --innodb-buffer-pool-size=24M >/tmp/log 2>&1 & server=$!
  ${awaitServer("mariadb -e 'select 1'")}
}
digest() { mariadb -N d -e "checksum table t, m; check table t, m extended; select count(*), sum(k), sum(crc32(pad)) from t"; }
`;
const postgres = `export PATH=$(echo /usr/lib/postgresql/*/bin):$PATH PGDATA=/var/lib/postgresql/data PGHOST=/tmp PGUSER=postgres
as() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }
start() {
  setpriv --reuid=postgres --regid=postgres --clear-groups -- \\
    postgres -k /tmp -c listen_addresses= -c autovacuum=off -c shared_buffers=8MB -c dynamic_shared_memory_type=mmap >/tmp/log 2>&1 & server=$!
  ${awaitServer("psql -c 'select 1'")}
}
digest() {
  pg_amcheck --heapallindexed --parent-check postgres 2>&1
  for t in accounts tellers branches; do
    psql -Atc "select count(*), md5(string_agg(x::text, ',' order by x::text)) from pgbench_$t x"
  done
}
`;
const redis = `start() {
  setpriv --reuid=redis --regid=redis --clear-groups -- redis-server --dir /data --port 0 --unixsocket /tmp/s \\
    --appendonly yes --save '' --enable-debug-command yes >/tmp/log 2>&1 & server=$!
  ${awaitServer('redis-cli -s /tmp/s ping | grep -q PONG')}
}
fill() {
  redis-cli -s /tmp/s eval "for i=$1,$2 do redis.call('set','k'..i,string.rep(redis.sha1hex(i+$3),8)) end" 0 >/dev/null
}
digest() { redis-cli -s /tmp/s dbsize; redis-cli -s /tmp/s debug digest; }
`;

export const databases = {
  MariaDB: {
    tree: { label: 'mariadb', packages: ['mariadb-server'], waste: ['var/lib/mysql'] },
    dataDir: '/var/lib/mysql',
    prepare: `${mariadb}
mariadb-install-db --force --user=mysql --skip-test-db --auth-root-authentication-method=normal >/dev/null; start
mariadb -e "create database d; use d; create table t (id int primary key, k int, pad varchar(400), index(k)) engine=innodb;
create table m engine=aria as select seq, md5(seq) x from seq_1_to_5000;
insert into t select seq, seq * 7919 % 10007, repeat(md5(seq), 6) from seq_1_to_${ROWS}"
kill -9 $server`,
    work: `${mariadb} start; digest
for i in $(seq 0 40); do
  echo "update t set k = k + 1, pad = concat(pad, 'x') where k between $((i * 200)) and $((i * 200 + 60));"
  echo "delete from t where id = $((i * 37));"
done | mariadb d
mariadb d -e "update m set x = reverse(x) where seq % 7 = 0; optimize table m" >/dev/null
digest; mariadb d -e "alter table t force"; digest; mariadb-admin shutdown; wait $server`,
  },
  PostgreSQL: {
    tree: { label: 'postgres', packages: ['postgresql'], waste: ['var/lib/postgresql'] },
    dataDir: '/var/lib/postgresql/data',
    prepare: `${postgres}
chown postgres $PGDATA; chmod 700 $PGDATA; as initdb -E UTF8 --locale=C --data-checksums >/dev/null; start
psql -qc 'create extension amcheck'; pgbench -qi -s ${Math.ceil(ROWS / 20_000)} >/dev/null 2>&1
psql -qc checkpoint; pgbench -n -t 200 --random-seed=5 >/dev/null 2>&1
kill -9 $(head -1 $PGDATA/postmaster.pid); sleep 0.5`,
    work: `${postgres} start; digest
pgbench -n -t 300 --random-seed=7 >/dev/null 2>&1 || echo pgbench failed
digest; psql -qc 'vacuum full pgbench_accounts'; digest
as pg_ctl -s -m fast stop; as pg_checksums --check | grep -i bad`,
  },
  Redis: {
    tree: { label: 'redis', packages: ['redis-server', 'sqlite3'], waste: [] },
    dataDir: '/data',
    prepare: `${redis} chown redis /data; start; fill 1 ${ROWS} 0; redis-cli -s /tmp/s bgrewriteaof >/dev/null
sleep 1; fill 1000 ${ROWS} 1; kill -9 $server`,
    work: `${redis} start; digest; fill $((${ROWS} - 100)) $((${ROWS} + 3000)) 2; digest; kill -9 $server; wait $server
start; digest; redis-cli -s /tmp/s shutdown nosave; wait $server`,
  },
} satisfies Record<string, Database>;

const enter = `set -e; mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
mkdir -p "/mnt/root$2"; mount --bind "$3" "/mnt/root$2"; mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev; mount -t tmpfs -o mode=1777 none /mnt/root/tmp
cd /; exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 chroot /mnt/root sh -c "$4"`;

/** Runs a script of a database on its data in `data`, in namespaces whose processes end with it; what it printed. */
export async function runDatabase(
  name: keyof typeof databases,
  what: 'prepare' | 'work',
  data: string,
): Promise<string> {
  const { tree, dataDir, [what]: script } = databases[name];
  const root = await debianTree(tree.label, tree.packages, tree.waste);
  const isolated = ['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--net', '--ipc', '--fork', '--kill-child'];
  const args = [...isolated, 'sh', '-c', enter, 'sh', root, dataDir, data, script];
  return (await run('setpriv', args, { timeout: LIMIT_MS, killSignal: 'SIGKILL', maxBuffer: 2 ** 26 })).stdout;
}

const sqlite = new URL('./sqlite.py', import.meta.url).pathname;

/** The same for SQLite, which needs no server. */
export async function runSqlite(what: 'prepare' | 'work', data: string): Promise<string> {
  return (await run('python3', [sqlite, what, `${data}/db`, String(ROWS)], { timeout: LIMIT_MS })).stdout;
}
