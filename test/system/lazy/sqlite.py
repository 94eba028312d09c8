"""A database of SQLite in WAL mode, read through a mapping.

usage: sqlite.py prepare FILE ROWS   fills it, and ends in the middle of a change
       sqlite.py work FILE ROWS      prints what it holds, before and after changes that are the same each time"""
import hashlib, os, sqlite3, sys

what, path, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None)
for setting in ('journal_mode=wal', 'mmap_size=300000000', 'cache_size=50'): db.execute(f'pragma {setting}')


def digest():
    content = repr(db.execute('select * from t order by id').fetchall()).encode()
    print(db.execute('pragma integrity_check').fetchall(), hashlib.sha256(content).hexdigest())


if what == 'prepare':
    db.execute('create table t (id integer primary key, k int, pad text)')
    db.execute('create index i on t (k)')
    db.execute('begin')
    pads = ((i, i * 7919 % 10007, hashlib.md5(b'%d' % i).hexdigest() * 6) for i in range(rows))
    db.executemany('insert into t values (?,?,?)', pads)
    db.execute('commit')
    db.execute('pragma wal_checkpoint(truncate)')
    db.execute('update t set k = k + 1 where id % 50 = 0')
    db.execute('begin')
    db.execute('update t set k = 0')
    os._exit(0)
digest()
for i in range(200):
    db.execute('update t set k = k + 1, pad = pad || ? where k between ? and ?', (str(i), i * 50, i * 50 + 20))
    db.execute('delete from t where id = ?', (i * 37,))
digest()
db.execute('vacuum')
digest()
db.execute('pragma wal_checkpoint(truncate)')
db.close()
