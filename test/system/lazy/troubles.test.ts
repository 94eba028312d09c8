import { execFileSync, spawn } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHolder, takeKept } from '../../../src/agent/lazy/holders.ts';
import { controlVolume, dropVolume, stageVolume } from '../../../src/agent/lazy/lazy-volume.ts';
import { probe, refuseTooMany } from '../../../src/agent/lazy/probe.ts';
import { connectTo, type SourceAddress } from '../../../src/agent/lazy/source-address.ts';
import { SourceLink } from '../../../src/agent/lazy/source-link.ts';
import { SourceServer } from '../../../src/agent/lazy/source-server.ts';
import { readRecord } from '../../../src/agent/lazy/volume-record.ts';
import { CargoError } from '../../../src/api/cargo-error.ts';
import { issueAuthority, issueLeaf } from '../../../src/server/pki/issue.ts';
import { rsyncDifferences } from '../volume/snapshot.ts';
import { Image } from './images.ts';
import { isRunning, LazyPair, run } from './lazy-pair.ts';
import { bytes } from './trees.ts';

const MB = 2 ** 20;
let image: Image;
beforeAll(() => {
  image = new Image('ext4', 1024);
});
afterAll(() => image[Symbol.dispose]());

test('a reader waits no longer for a source that is away than it was told to; then all goes on when the source is back', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1, waitLimitMs: 300 });
  fs.writeFileSync(join(pair.source, 'first'), bytes(1, 70_000));
  fs.writeFileSync(join(pair.source, 'file'), bytes(2, 3 * MB));
  await pair.begin();
  await pair.endServer();
  await expect(run('cat', [join(pair.target, 'file')])).rejects.toThrow(/Input\/output error/);
  const status = await pair.status();
  expect(status.denied).toBeGreaterThan(0);
  expect(status.sourceAway?.reason).toBeTypeOf('string');
  await pair.serve();
  await expect.poll(async () => (await pair.status()).sourceAway).toBeNull();
  await run('cmp', [join(pair.source, 'file'), join(pair.target, 'file')]);
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
  await pair.finish();
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

test('a source that is away is waited for while its files are listed, until the migration is taken back', async () => {
  await using pair = new LazyPair(image.path);
  const stop = new AbortController();
  const { target: path, stateDir, address: source } = pair;
  const staging = stageVolume({ path, stateDir, source, bwlimit: null, waitLimitMs: null, signal: stop.signal });
  const outcome = staging.then(
    () => 'staged',
    (error: unknown) => CargoError.from(error).code,
  );
  expect(await Promise.race([outcome, delay(300, 'waits')])).toBe('waits');
  stop.abort();
  expect(await outcome).toBe('CANCELLED');
});

test('a file that changed at the source is not given out: its readers get an error, and the status names it', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  fs.writeFileSync(join(pair.source, 'first'), bytes(1, 70_000));
  fs.writeFileSync(join(pair.source, 'file'), bytes(2, 3 * MB));
  await pair.begin();
  const fd = fs.openSync(join(pair.source, 'file'), 'r+');
  fs.writeSync(fd, 'changed', 2 * MB);
  fs.closeSync(fd);
  await expect(run('tail', ['-c', '10', join(pair.target, 'file')])).rejects.toThrow(/Input\/output error/);
  const { trouble } = await pair.status();
  expect(trouble.join()).toContain(`${pair.source}/file at the source is not what it was`);
});

test('a volume that is dropped leaves no process behind', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  fs.writeFileSync(join(pair.source, 'file'), bytes(2, 3 * MB));
  await pair.begin();
  const processes = [pair.hydrator() ?? 0, ...(await pair.holders())];
  expect(processes.every(isRunning)).toBe(true);
  await dropVolume(pair.stateDir);
  await expect.poll(() => processes.filter(isRunning)).toEqual([]);
});

test('a holder of which the record does not know is ended with its volume', async () => {
  for (const end of ['drop', 'finish'] as const) {
    await using pair = new LazyPair(image.path, { bwlimit: 1 });
    for (const [index, name] of ['first', 'file'].entries())
      fs.writeFileSync(join(pair.source, name), bytes(index, 3 * MB));
    await pair.begin();
    const known = (await readRecord(pair.stateDir))?.holders ?? [];
    const kept = takeKept(known);
    if (kept === null) throw new Error('nobody holds the group');
    const { pid } = startHolder(kept, { stateDir: pair.stateDir, rootFd: kept.group, launcher: [] });
    for (const fd of [kept.group, kept.inFlight]) fs.closeSync(fd);
    if (end === 'drop') await dropVolume(pair.stateDir);
    else await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null }).then(() => pair.finish());
    await expect
      .poll(() => [pid, ...known.map((holder) => holder.pid)].filter(isRunning), { message: end })
      .toEqual([]);
  }
});

test('capabilities and times are the source’s, unless a process changed them', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  for (const name of ['capable', 'touched', 'kept']) fs.writeFileSync(join(pair.source, name), bytes(3, 2 * MB));
  const value = '0x0100000200040000000000000000000000000000';
  execFileSync('python3', ['-c', setCapability, join(pair.source, 'capable'), value]);
  for (const name of fs.readdirSync(pair.source)) fs.utimesSync(join(pair.source, name), 5, 1_000_000.123456);
  await pair.begin();
  await run('cmp', ['-n', '100', join(pair.source, 'touched'), join(pair.target, 'touched')]);
  fs.utimesSync(join(pair.target, 'touched'), 5, 2_000_000.5);
  await controlVolume(pair.stateDir, { do: 'bwlimit', bytesPerSecond: null });
  await pair.finish();
  expect(fs.statSync(join(pair.target, 'touched')).mtimeMs).toBe(2_000_000_500);
  fs.utimesSync(join(pair.source, 'touched'), 5, 2_000_000.5);
  expect(rsyncDifferences(pair.source, pair.target)).toBe('');
});

const setCapability = 'import os,sys; os.setxattr(sys.argv[1], "security.capability", bytes.fromhex(sys.argv[2][2:]))';

test('SQLite works on a database that is still on its way', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 2 * MB });
  const make =
    'import sqlite3,sys\nd=sqlite3.connect(sys.argv[1])\nd.execute("create table t(k integer primary key, v blob)")\n';
  const fill = 'd.executemany("insert into t values(?,?)",((i,bytes([i%256])*900) for i in range(9000)))\nd.commit()';
  execFileSync('python3', ['-c', make + fill, join(pair.source, 'db')]);
  const expected = fs.statSync(join(pair.source, 'db')).size;
  expect(expected).toBeGreaterThan(5 * MB);
  await pair.begin();
  const use = `
import sqlite3,sys,random
d=sqlite3.connect(sys.argv[1]); r=random.Random(1); m={}
for n in range(300):
  k=r.randrange(9000); want=m.get(k,bytes([k%256])*900)
  assert d.execute("select v from t where k=?",(k,)).fetchone()[0]==want,k
  m[k]=bytes([n%256])*901; d.execute("update t set v=? where k=?",(m[k],k))
  if n%20==0: d.commit()
d.commit()
assert d.execute("pragma integrity_check").fetchone()[0]=="ok"
for k in range(9000): assert d.execute("select v from t where k=?",(k,)).fetchone()[0]==m.get(k,bytes([k%256])*900)
print("ok")`;
  expect((await run('python3', ['-c', use, join(pair.target, 'db')])).stdout).toBe('ok\n');
  await pair.finish();
  expect((await run('sqlite3', [join(pair.target, 'db'), 'pragma integrity_check'])).stdout).toBe('ok\n');
});

test('over mutual TLS only the host that is named is served, and only the source that is named is asked', async () => {
  const directory = fs.mkdtempSync(join(image.path, 'tls-'));
  const [sourceId, targetId, otherId] = [randomUUID(), randomUUID(), randomUUID()];
  const parts = await certificates(directory, [sourceId, targetId, otherId]);
  const stateDir = join(directory, 'state');
  await using server = new SourceServer({ path: directory, stateDir, contentLimit: 100 });
  const read = (id: string, what: string) => fs.readFileSync(join(directory, `${id}.${what}`));
  const port = await server.listenOnTls({
    ...{ host: '127.0.0.1', port: 0, targetHostId: targetId, ca: fs.readFileSync(parts) },
    ...{ key: read(sourceId, 'key'), cert: read(sourceId, 'crt') },
  });
  const address = (id: string, hostId: string): Extract<SourceAddress, { kind: 'tls' }> => ({
    ...{ kind: 'tls', host: '127.0.0.1', port, hostId, ca: parts },
    ...{ certificate: join(directory, `${id}.crt`), key: join(directory, `${id}.key`) },
  });
  const greeting = { want: 'round', round: 1, final: true } as const;
  const welcome = await connectTo(address(targetId, sourceId), greeting);
  await once(welcome, 'data');
  welcome.destroy();
  await expect(connectTo(address(targetId, otherId))).rejects.toThrow(/is not cargo:\/\/host/);
  const stranger = await connectTo(address(otherId, sourceId), greeting);
  stranger.resume().on('error', () => {});
  await once(stranger, 'close');
});

async function certificates(directory: string, ids: readonly string[]): Promise<string> {
  const notAfter = new Date(Date.now() + 3_600_000);
  const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const authority = { commonName: 'test', key: newKey().privateKey };
  const ca = join(directory, 'ca.crt');
  fs.writeFileSync(ca, await issueAuthority(authority, notAfter));
  for (const id of ids) {
    const { publicKey, privateKey } = newKey();
    const names = [{ type: 'url', value: `cargo://host/${id}` }] as const;
    fs.writeFileSync(
      join(directory, `${id}.crt`),
      await issueLeaf({ commonName: id, publicKey, names, notAfter }, authority),
    );
    fs.writeFileSync(
      join(directory, `${id}.key`),
      createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })).export({ type: 'pkcs8', format: 'pem' }),
    );
  }
  return ca;
}

test('a connection that is lost in the middle is made again, and what was asked is asked again', async () => {
  await using pair = new LazyPair(image.path, { bwlimit: 1 });
  fs.writeFileSync(join(pair.source, 'file'), bytes(2, 3 * MB));
  await pair.begin();
  const sockets: Awaited<ReturnType<typeof connectTo>>[] = [];
  const link = new SourceLink(async () => {
    const socket = await connectTo(pair.address);
    sockets.push(socket);
    return { socket, keys: null };
  });
  const read = link.read(0, 12_345, 700_000);
  await expect.poll(() => sockets.length).toBe(1);
  sockets[0]?.destroy();
  expect(await read).toEqual(bytes(2, 3 * MB).subarray(12_345, 712_345));
  link.close();
});

test('what can’t be filled lazily is refused with a reason before anything changes', async () => {
  const directory = fs.mkdtempSync('/var/tmp/cargo-lazy-');
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'none', directory]);
    expect(() => probe(directory)).toThrow(/tmpfs has no pre-content events/);
    for (const name of ['lower', 'upper', 'work', 'merged']) fs.mkdirSync(join(directory, name));
    const layers = `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work`;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, join(directory, 'merged')]);
    expect(() => probe(join(directory, 'merged'))).toThrow(/overlayfs has no pre-content events/);
    execFileSync('umount', [join(directory, 'merged')]);
  } finally {
    execFileSync('umount', [directory]);
    fs.rmdirSync(directory);
  }
  expect(() => refuseTooMany(1e12)).toThrow(/more than a tenth of this host's memory/);
  expect(fs.readdirSync(image.path).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('another process that decides about accesses is found', async () => {
  const listener = spawn('python3', [
    '-uc',
    'import ctypes,sys\nl=ctypes.CDLL(None)\nassert l.fanotify_init(4,0)>=0\nprint("listens")\nsys.stdin.read()',
  ]);
  try {
    await once(listener.stdout, 'data');
    expect(() => probe(image.path)).toThrow(/python.* on this host decides about accesses to files, too/);
  } finally {
    const ended = once(listener, 'exit');
    listener.stdin.end();
    await ended;
  }
  probe(image.path);
});
